"""The page of pictures is whole, plain HTML that everybody can read."""

import base64
import io
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from headstart.explain.explained_predictions import ExplainedPrediction
from headstart.explain.picture_protocol import Shown, UnfitError
from headstart.explain.rendering.gallery_files import PAGE, GalleryKind, png, write_gallery
from headstart.explain.rendering.gallery_page import GalleryAnswer
from headstart.types import UserError


def image(high=6, wide=9, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (high, wide, 3), dtype=np.uint8)


def shown(name="one", **other):
    usual = {"image": image(), "caption": f"what {name} is", "alt": f"what is seen in {name}"}
    return Shown(name, **usual | other)


def kind(name="maps", *pictures, title="Maps", about="What they are."):
    return GalleryKind(name, title, about, pictures or (shown(),))


def gallery(folder, *kinds, tensorboard=False, **more):
    return write_gallery(folder, kinds or [kind()], of="a network", tensorboard=tensorboard, **more)


class Page(HTMLParser):
    """Tags in their order with their attributes, and the text; elements that stay open are a fault."""

    EMPTY = ("meta", "link", "img", "input", "br")

    def __init__(self, path):
        super().__init__()
        self.tags, self.text, self._open = [], "", []
        self.feed(path.read_text(encoding="utf-8"))
        self.close()
        assert self._open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.EMPTY:
            self._open.append(tag)

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        if self._open and self._open[-1] not in ("style", "script"):
            self.text += data

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


def pictures(page):
    return [one for one in page.all("img") if "data-name" in one]


def test_each_plain_picture_is_on_the_page_and_in_a_file_pixel_by_pixel(tmp_path):
    first, second = image(4, 5, seed=1), np.kron(image(3, 2, seed=2), np.ones((100, 100, 1), np.uint8))
    page = Page(gallery(tmp_path, kind("maps", shown("a", image=first), shown("b", image=second))))
    for one, want, name in zip(pictures(page), (first, second), "ab", strict=True):
        data = base64.b64decode(one["src"].removeprefix("data:image/png;base64,"))
        assert (np.asarray(Image.open(io.BytesIO(data))) == want).all()
        assert (tmp_path / "maps" / f"{name}.png").read_bytes() == data
        assert one["data-name"] == f"maps/{name}"


def test_a_picture_full_of_photos_is_small_on_the_page_and_exact_in_its_file(tmp_path):
    rows, columns = np.mgrid[0:400, 0:600]
    grain = np.random.default_rng(0).normal(0, 6, (400, 600, 3))
    photo = (grain + np.stack([rows / 2, columns / 3, rows / 4 + columns / 6], axis=2)).clip(0, 255).astype(np.uint8)
    (one,) = pictures(Page(gallery(tmp_path, kind("maps", shown("a", image=photo)))))
    form, _, content = one["src"].removeprefix("data:image/").partition(";base64,")
    assert form in ("webp", "jpeg")
    file = tmp_path / "maps" / "a.png"
    assert (np.asarray(Image.open(file)) == photo).all()
    data = base64.b64decode(content)
    assert len(data) < 0.3 * file.stat().st_size
    assert np.abs(np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(float) - photo).mean() < 6


def test_a_picture_that_is_plain_but_for_a_little_noise_is_small_on_the_page_too(tmp_path):
    picture = np.full((340, 900, 3), 240, np.uint8)
    picture[20:120, 20:220] = image(100, 200)
    (shown_there,) = pictures(Page(gallery(tmp_path, kind("maps", shown("a", image=picture)))))
    assert len(shown_there["src"]) < 0.6 * 4 / 3 * (tmp_path / "maps" / "a.png").stat().st_size


def test_each_picture_has_words_for_those_who_cannot_see_it_its_size_and_is_loaded_when_it_is_near(tmp_path):
    answered = [GalleryAnswer(image(), ExplainedPrediction("photo.png", "cat", "dog (0.80)", False))]
    page = Page(gallery(tmp_path, kind("maps", shown("a"), shown("b")), answered=answered))
    assert len(pictures(page)) == 3
    for one in pictures(page):
        assert one["alt"]
        assert int(one["width"]) > 0
        assert int(one["height"]) > 0
        assert (one["loading"], one["decoding"]) == ("lazy", "async")
    assert "what a is" in page.text
    assert "photo.png, cat: the model says dog (0.80), wrong" in " ".join(page.text.split())
    assert "The model is right about 0 of 1." in page.text


def test_small_maps_are_enlarged_in_blocks_and_large_ones_are_not(tmp_path):
    page = Page(gallery(tmp_path, kind("maps", shown("a", image=image(8, 8)), shown("b", image=image(200, 200)))))
    assert [one.get("class") for one in pictures(page)] == ["crisp", None]
    assert [one["style"].partition(";")[0] for one in page.all("figure")] == ["--w:160px", "--w:200px"]


def test_nothing_comes_from_elsewhere_and_ids_are_unique_and_linked(tmp_path):
    path = gallery(tmp_path, kind("maps"), kind("more maps"), kind("images", title="Pictures"))
    page = Page(path)
    for _, attributes in page.tags:
        for key in ("src", "href"):
            assert attributes.get(key, "#").startswith(("#", "data:"))
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = [attributes["href"][1:] for attributes in page.all("a")]
    assert set(links) <= set(ids)
    sections = [attributes["id"] for attributes in page.all("section")]
    assert set(sections) <= set(links), "each section is in the list of contents"
    assert len(sections) == 3
    assert page.all("html")[0]["lang"] == "en"


def test_anybodys_text_stays_text(tmp_path):
    odd = '<script>alert("1")</script>&amp;'
    page = Page(
        gallery(tmp_path, kind("maps", shown(caption=odd, alt=odd), title=odd, about=odd), facts=[("run", odd)])
    )
    assert len(page.all("script")) == 1
    assert page.text.count(odd) == 5  # the title, in the contents and above its section, about, the caption, the fact
    assert pictures(page)[0]["alt"] == odd


def failing(error):
    yield shown("first")
    raise error


def test_a_kind_that_does_not_apply_says_why_and_leaves_no_files(tmp_path):
    page = Page(
        gallery(tmp_path, kind("maps"), GalleryKind("roll", "Rollout", "About.", failing(UnfitError("no attention"))))
    )
    assert "no attention; gradient, integrated_gradients, smooth_grad and occlusion apply" in page.text
    assert not (tmp_path / "roll").exists()
    assert len(pictures(page)) == 1
    with pytest.raises(UnfitError, match="no attention"):
        gallery(tmp_path, GalleryKind("roll", "Rollout", "About.", failing(UnfitError("no attention"))))


def test_what_ends_the_command_before_its_end_leaves_the_earlier_gallery(tmp_path):
    gallery(tmp_path, kind("maps", shown("a")), tensorboard=True)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(KeyboardInterrupt):
        gallery(tmp_path, GalleryKind("maps", "Maps", "About.", failing(KeyboardInterrupt())), tensorboard=True)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    assert (tmp_path / PAGE).is_file()


def test_other_kinds_of_an_earlier_command_stay_and_its_events_go(tmp_path):
    (tmp_path / "events.out.tfevents.1.training").write_bytes(b"of a run")
    gallery(tmp_path, kind("maps", shown("a"), shown("b")), kind("more", shown("c")), tensorboard=True)
    gallery(tmp_path, kind("maps", shown("a")), tensorboard=True)
    files = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.png"))
    assert files == ["maps/a.png", "more/c.png"]
    assert len(list(tmp_path.glob("events.out.tfevents.*"))) == 2


@pytest.mark.parametrize(
    ("pictures", "said"),
    [
        ([shown("a"), shown("a")], "same name, got maps/a twice"),
        ([shown("../a")], "must be that of a file"),
        ([shown("a", image=np.zeros((3, 3), np.uint8))], r"\(H, W, 3\) of uint8, got \(3, 3\)"),
        ([shown("a", image=np.zeros((3, 3, 3)))], "of uint8, got .* of float64"),
    ],
)
def test_what_a_kind_of_ones_own_must_not_give_is_said(tmp_path, pictures, said):
    with pytest.raises(UserError, match=said):
        gallery(tmp_path, kind("maps", *pictures))


def test_a_png_is_the_image_again():
    want = image(5, 7)
    assert (np.asarray(Image.open(io.BytesIO(png(want)))) == want).all()


def test_pictures_and_a_page_of_somebody_else_s_stay(tmp_path):
    (tmp_path / "maps").mkdir()
    for name in ("theirs", "a"):
        Image.fromarray(image(5, 7)).save(tmp_path / "maps" / f"{name}.png")
    with pytest.raises(UserError, match=r"a\.png is no gallery's picture; give another folder"):
        gallery(tmp_path, kind("maps", shown("a")))
    (tmp_path / "maps" / "a.png").unlink()
    for _ in range(2):
        gallery(tmp_path, kind("maps", shown("a")))
    gallery(tmp_path, kind("maps", shown("b")))
    assert sorted(path.stem for path in tmp_path.glob("maps/*.png")) == ["b", "theirs"]
    (tmp_path / PAGE).write_text("<html>my own gallery</html>")
    with pytest.raises(UserError, match="page of something else"):
        gallery(tmp_path, kind("maps", shown("b")))
    assert (tmp_path / PAGE).read_text() == "<html>my own gallery</html>"


def test_of_two_commands_that_draw_in_one_folder_at_once_the_second_waits_and_both_are_whole(tmp_path, caplog):
    caplog.set_level("INFO")
    begun, go_on = threading.Event(), threading.Event()

    def slow():
        begun.set()
        assert go_on.wait(30)
        yield shown("slow")

    with ThreadPoolExecutor() as pool:
        first = pool.submit(gallery, tmp_path, GalleryKind("maps", "Maps", "What they are.", slow()))
        assert begun.wait(30)
        second = pool.submit(gallery, tmp_path, kind("filters", shown("quick")))
        while "waiting for the pictures" not in caplog.text:
            assert not second.done(), second.result()
            time.sleep(0.01)
        go_on.set()
        assert first.result(30) == second.result(30) == tmp_path / PAGE
    assert sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.png")) == [
        "filters/quick.png", "maps/slow.png"
    ]  # fmt: skip
    assert "quick" in (tmp_path / PAGE).read_text(encoding="utf-8"), "the page is that of the last one"
