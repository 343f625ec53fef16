"""The page shows the most confident errors that the runs' folders hold."""

import numpy as np
import pytest

from headstart.report.rendering.html import html_page
from headstart.report.report_files import write_report
from headstart.system.worst_errors import WorstError, WorstErrors, write_worst_errors
from page_text import shown
from planted_studies import planted, write_answers, write_run

WEBP = b"RIFF\x1a\0\0\0WEBPVP8L\r\0\0\0/\0\0\0\x10\x07\x10\x11\x11\x88\x88\xfe\x07\0"  # one pixel
HOSTILE = "<img src=x onerror=alert(1)>"


def worst(number: int) -> WorstErrors:
    return WorstErrors(40, 3, (WorstError(number, f"{HOSTILE} as dog 0.97", HOSTILE, "dog", 0.97, WEBP),))


@pytest.fixture
def study(tmp_path):
    """Two modes with two seeds; the better seed of each has errors, and one image that all others predict right."""
    for mode in ("scratch", "gradual"):
        for seed in (0, 1):
            folder = write_run(tmp_path / "s", mode, seed, planted(0.4, 0.8 + seed / 20, 0.3))
            write_worst_errors(folder / "answers", worst(10 + seed))
            is_right = np.array([[mode != "scratch" or seed != 1, mode == "scratch"]])
            write_answers(folder, "test", [11, 12], is_right, [60])
    return tmp_path / "s"


def words(study, **options) -> str:
    return " ".join(" ".join(shown(write_report(study, **options).page).words).split())


def test_each_arm_shows_those_of_its_best_run_by_val_and_what_other_runs_say(study):
    text = words(study)
    assert (
        text.count("Seed 1, the best run by val: 3 of 40 test images are wrong; these 1 are the most confident.") == 2
    )
    assert "Seed 0, the best run" not in text
    # image 11: of the other three runs of scratch's best all are right, of gradual's best all but that one
    assert text.count("3 of 3 other runs are right") == 1
    assert text.count("2 of 3 other runs are right") == 1


def test_names_of_classes_are_text(study):
    page = write_report(study).page.read_text()
    assert HOSTILE not in page
    assert "&lt;img src=x onerror=alert(1)&gt;</b> taken for <b>dog</b>, 0.97" in page
    assert page.count("data:image/webp;base64,") == 2


def test_no_image_is_in_the_page_where_nobody_wants_it(study):
    page = write_report(study, errors=False).page.read_text()
    assert "data:image/webp" not in page
    assert "confident errors" not in page


def test_a_run_without_images_says_so_in_a_line(study):
    for file in study.glob("*gradual*/answers/worst-test.json"):
        file.unlink()
    text = words(study)
    assert text.count("its folder holds no images of its errors") == 1
    for file in study.glob("*scratch*/answers/worst-test.json"):
        write_worst_errors(file.parent, WorstErrors(40, 0, ()))
    assert "Seed 1, the best run by val: no error in 40 test images." in words(study)


def test_a_page_holds_so_many_bytes_of_images_at_most(study, monkeypatch):
    monkeypatch.setattr(html_page, "MOST_BYTES", len(worst(0).errors[0].url))
    page = write_report(study).page.read_text()
    assert page.count("data:image/webp;base64,") == 1
    assert page.count("the page has room for those above alone") == 1
