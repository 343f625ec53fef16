"""Printed characters look as they should, and the fonts of val and test are held out."""

from itertools import combinations

import numpy as np
import pytest
from PIL import ImageFont

from headstart.data.datasets import printed_characters as room
from headstart.data.datasets.printed_characters import CHARACTERS, FONTS, Printed, font_folder, glyph, picture
from headstart.types import SPLITS, UserError

EVERY_FONT = [font for fonts in FONTS.values() for font in fonts]


@pytest.mark.parametrize(("characters", "classes"), [("letters", 37), ("digits", 10), ("all", 47)])
def test_the_classes_are_those_of_emnist_balanced(printed, characters, classes):
    data = printed(characters)
    assert data.num_classes == len(set(data.class_names)) == classes


def test_printed_digits_are_named_as_the_handwritten_ones(printed, digits):
    assert printed("digits").class_names == digits().class_names


def test_the_splits_are_stratified_and_their_sizes_known(printed):
    data = printed("digits", per_class=7, held_out=3)
    assert data.sizes == {"train": 70, "val": 30, "test": 30}
    assert np.bincount(data.splits["train"].label).tolist() == [7] * 10
    assert data.splits["train"].image.shape == (70, 32, 32)


def test_no_font_serves_two_splits():
    assert all(not set(FONTS[a]) & set(FONTS[b]) for a, b in combinations(FONTS, 2))
    assert len(EVERY_FONT) == len(set(EVERY_FONT)) == 21


def test_training_never_sees_computer_modern_nor_a_monospaced_font():
    assert not [font for font in FONTS["train"] if font.startswith("cm") or "Mono" in font]


def test_a_split_is_drawn_in_its_own_fonts_each_equally_often(printed, monkeypatch):
    used: dict[str, int] = {}

    def noted(character, font, chance):
        used[font] = used.get(font, 0) + 1
        return picture(character, font, chance)

    monkeypatch.setattr(room, "picture", noted)
    _ = printed("digits", per_class=24, held_out=6).splits
    assert {font: used[font] for font in FONTS["train"]} == dict.fromkeys(FONTS["train"], 20)
    assert {font: used[font] for font in FONTS["val"]} == dict.fromkeys(FONTS["val"], 20)
    assert {font: used[font] for font in FONTS["test"]} == dict.fromkeys(FONTS["test"], 10)
    assert set(used) == set(EVERY_FONT)


@pytest.mark.parametrize("font", EVERY_FONT)
def test_a_font_has_a_glyph_of_its_own_for_every_character(font):
    face = ImageFont.truetype(str(font_folder() / f"{font}.ttf"), 54)
    missing = bytes(face.getmask("\uffff"))  # no character: the font's box for what it lacks, or nothing
    drawn = {character: face.getmask(character) for character in CHARACTERS["all"]}
    assert all(mask.getbbox() for mask in drawn.values())
    assert missing not in {bytes(mask) for mask in drawn.values()}
    assert len({glyph(character, font, 0).tobytes() for character in drawn}) == 47


@pytest.mark.parametrize("stroke", [0, 3])
def test_a_glyph_is_54_pixels_long_whatever_its_font_and_two_strokes_more(stroke):
    for font in EVERY_FONT:
        for character in CHARACTERS["all"]:
            assert max(glyph(character, font, stroke).size) == pytest.approx(54 + 2 * stroke, abs=3)


def test_every_image_is_bright_on_black(printed):
    image = printed("all").splits["train"].image
    assert image.max((1, 2)).min() > 180
    assert np.median(image) < 60
    ink = (image > 100).mean((1, 2))
    assert ink.min() > 0.02
    assert ink.max() < 0.9


def test_no_two_classes_look_the_same_on_average(printed):
    split = printed("all", per_class=36).splits["train"]
    means = [split.image[split.label == label].mean(0).ravel() for label in range(47)]
    alike = np.corrcoef(np.stack(means)) - np.eye(47)
    assert alike.max() < 0.97


def test_no_image_is_drawn_twice(printed, hashes):
    data = printed("all")
    contents = [one for name in ("train", "val", "test") for one in hashes(data.splits[name].image)]
    assert len(contents) == len(set(contents)) == 47 * (12 + 6 + 6)


def test_another_seed_gives_other_images(printed, hashes):
    one, two = (set(hashes(printed(seed=seed).splits["train"].image)) for seed in (0, 1))
    assert not one & two


def test_more_images_a_class_contain_the_fewer(printed, hashes):
    few, many = (set(hashes(printed("digits", per_class=n).splits["train"].image)) for n in (5, 9))
    assert few < many


def test_all_characters_contain_the_digits(printed, hashes):
    only, every = (set(hashes(printed(characters).splits["val"].image)) for characters in ("digits", "all"))
    assert only < every


def test_another_domain_has_the_fonts_of_one_split_in_all_three(printed, hashes):
    usual, other = printed("digits"), printed("digits", fonts="test")
    assert set(hashes(other.splits["test"].image)) == set(hashes(usual.splits["test"].image))
    assert not set(hashes(other.splits["train"].image)) & set(hashes(usual.splits["train"].image))
    assert [other.fonts[split] for split in SPLITS] == [FONTS["test"]] * 3


def test_unknown_fonts_name_the_valid_ones(printed):
    with pytest.raises(UserError, match="train, val, test, or null, got 'cursive'"):
        printed(fonts="cursive")


def test_unknown_characters_name_the_valid_ones(printed):
    with pytest.raises(UserError, match="letters, digits, all, got 'leters'"):
        printed("leters")


def test_a_missing_font_is_named_with_what_to_try(monkeypatch, tmp_path):
    monkeypatch.setattr(room, "font_folder", lambda: tmp_path)
    with pytest.raises(UserError, match=r"none\.ttf.*force-reinstall matplotlib"):
        room.typeface("none", 54)


def test_no_val_image_a_class_leaves_val_empty_and_the_other_splits_as_they_are(printed):
    whole = printed(held_out=2)
    none = Printed(
        characters="letters", per_class=12, fraction=None, classes=None, box=None, val_per_class=0, test_per_class=2,
        fonts=None, corruption=None, severity=3,
        batch_size=64, num_workers=0, augment=None, pixels=whole.pixels, seed=0,
    )  # fmt: skip
    assert none.sizes == whole.sizes | {"val": 0}
    for split in ("train", "test"):
        assert np.array_equal(whole.splits[split].image, none.splits[split].image)  # type: ignore[attr-defined]
