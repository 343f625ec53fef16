"""A person without a mouse can look through the pictures in a real browser."""

import numpy as np
import pytest

from chromium import tab
from headstart.explain.picture_protocol import Shown
from headstart.explain.rendering.gallery_files import GalleryKind, write_gallery

pytestmark = pytest.mark.browser

ENLARGED = "document.querySelector('dialog').open"
SAID = "document.querySelector('dialog [aria-live]').textContent"


def noise(seed, side):
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)


def kinds(count, side):
    return [
        GalleryKind(name, name.title(), "What they are.", [
            Shown(f"{n:04d}", noise(n, side), f"caption {n} of {name}", f"alt {n} of {name}") for n in range(count)
        ])
        for name in ("maps", "others")
    ]  # fmt: skip


@pytest.fixture
def page(tmp_path):
    return write_gallery(tmp_path / "seen", kinds(4, 40), of="a network", tensorboard=False).as_uri()


@pytest.fixture
def browser(tmp_path):
    with tab(tmp_path / "profile") as one:
        yield one
        assert one.complaints == []


def focused(browser):
    return browser.value("document.activeElement.firstElementChild?.dataset.name ?? document.activeElement.className")


def test_keys_alone_reach_enlarge_and_leave_each_picture(browser, page):
    browser.look(width=900)
    browser.open(page)
    browser.press("Tab")
    assert focused(browser) == "skip"
    browser.press("Enter", "Tab")
    assert focused(browser) == "maps/0000"
    browser.press("ArrowRight", "ArrowRight")
    assert focused(browser) == "maps/0002"
    browser.press("Enter")
    assert browser.value(ENLARGED)
    assert browser.value(SAID) == "Maps, maps/0002: 3 of 8"
    assert browser.value("document.querySelector('dialog img').alt") == "alt 2 of maps"
    browser.press("ArrowRight", "ArrowRight")
    assert browser.value(SAID) == "Others, others/0000: 5 of 8"
    browser.press("End", "ArrowRight")
    assert browser.value(SAID) == "Maps, maps/0000: 1 of 8"
    browser.press("ArrowLeft", "Escape")
    assert not browser.value(ENLARGED)
    assert focused(browser) == "others/0003", "where the walk ended"


def test_a_click_enlarges_and_the_button_closes(browser, page):
    browser.look(width=420)
    browser.open(page)
    browser.click("#others .zoom")
    assert browser.value(SAID) == "Others, others/0000: 5 of 8"
    browser.click("dialog [data-close]")
    assert not browser.value(ENLARGED)
    assert browser.value("document.documentElement.scrollWidth <= innerWidth"), "nothing sticks out of a narrow window"


def test_without_scripts_all_is_there(browser, page):
    browser.look(width=900, script=False)
    browser.open(page)
    assert browser.value("document.querySelectorAll('figure img').length") == 8
    assert browser.value("document.querySelectorAll('.zoom').length") == 0


def test_of_a_thousand_pictures_only_those_near_the_window_are_painted(browser, tmp_path):
    path = write_gallery(tmp_path / "many", kinds(500, 64), of="a network", tensorboard=False)
    browser.look(width=900)
    browser.open(path.as_uri())
    seen = "one => one.checkVisibility({contentVisibilityAuto: true})"
    assert browser.value(f"[...document.querySelectorAll('figcaption')].filter({seen}).length") < 100
    browser.value("document.querySelector('#others').scrollIntoView()")
    assert browser.value("document.querySelectorAll('.zoom').length") == 1000
