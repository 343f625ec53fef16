"""A picture that was saved again is found, an unrelated one is not, and the work grows with the images."""

import numpy as np
import pytest
from PIL import Image, ImageFilter

from folder_data import folder
from headstart.data.splits import near_duplicates as near
from headstart.data.splits.near_duplicates import SIDE, near_duplicates, perceptual_hashes, same_picture, similar


def photo(seed, size=(200, 150)):
    """Smooth shapes of several sizes with some noise."""
    chance = np.random.default_rng(seed)
    layers = [Image.fromarray(chance.integers(0, 256, (n, n, 3), np.uint8)).resize(size, 2) for n in (3, 6, 20)]
    mixed = sum(share * np.asarray(layer, np.float64) for share, layer in zip((0.5, 0.3, 0.2), layers, strict=True))
    return Image.fromarray((mixed + chance.normal(0, 4, mixed.shape)).clip(0, 255).astype(np.uint8))


@pytest.fixture
def photos(tmp_path):
    """Given splits of 12 photos a class, each another picture."""
    for number, (split, name) in enumerate((s, n) for s in ("train", "val", "test") for n in ("ants", "bees")):
        (tmp_path / split / name).mkdir(parents=True)
        for image in range(12):
            photo(100 * number + image).save(tmp_path / split / name / f"{image:02}.jpg", quality=90)
    return tmp_path


def found(data):
    data.setup("fit")
    groups = {}
    for one in data.duplicates:
        groups.setdefault((one.group, one.kind), []).append(one.file)
    return [(kind, *files) for (_, kind), files in groups.items()]


SAVED_AGAIN = {
    "quality.jpg": lambda image, path: image.save(path, quality=35),
    "half.jpg": lambda image, path: image.resize((100, 75)).save(path),
    "larger.png": lambda image, path: image.resize((431, 323)).save(path),
    "other.webp": lambda image, path: image.save(path, quality=60),
}


@pytest.mark.parametrize("name", SAVED_AGAIN)
def test_a_picture_saved_again_in_another_split_is_a_warning_and_no_error(photos, name, caplog):
    with Image.open(photos / "train" / "ants" / "03.jpg") as image:
        SAVED_AGAIN[name](image, photos / "test" / "bees" / name)
    data = folder(photos, leakage="near")
    assert found(data) == [("near", "train/ants/03.jpg", f"test/bees/{name}")]
    one, other = data.duplicates
    assert (one.split, one.label, other.split, other.label) == ("train", "ants", "test", "bees")
    assert 0 < other.difference < 6
    assert f"train/ants/03.jpg (train) ~ test/bees/{name} (test)" in caplog.text
    assert found(folder(photos)) == []  # nobody asked


def test_a_photo_that_is_decoded_at_a_round_share_of_its_size_is_found_too(photos):
    photo(9999, (341, 256)).save(photos / "train" / "ants" / "round.jpg")
    photo(9999, (341, 256)).resize((205, 154)).save(photos / "val" / "ants" / "again.png")
    assert found(folder(photos, leakage="near")) == [("near", "train/ants/round.jpg", "val/ants/again.png")]


def test_inside_a_split_a_picture_may_come_again(photos):
    with Image.open(photos / "train" / "ants" / "03.jpg") as image:
        image.save(photos / "train" / "ants" / "again.jpg", quality=35)
    assert found(folder(photos, leakage="near")) == []


def test_copies_of_the_same_bytes_are_no_pictures_saved_again_and_stay_out_of_training(photos):
    (photos / "val" / "ants" / "same.jpg").write_bytes((photos / "train" / "ants" / "00.jpg").read_bytes())
    data = folder(photos, leakage="near")
    assert found(data) == [("copy", "train/ants/00.jpg", "val/ants/same.jpg")]
    assert "train/ants/00.jpg" not in data.names("train")


def test_small_images_are_left_out_and_counted(class_folders, caplog):
    caplog.set_level("INFO")
    assert found(folder(class_folders(size=(63, 200)), leakage="near")) == []
    assert "20 images with a side below 64 pixels are not looked for saved again" in caplog.text


def textures(count):
    """Unrelated ones of five kinds: noise, stripes, checks, gradients, clouds."""
    chance = np.random.default_rng(0)
    x, y = np.meshgrid(np.linspace(0, 1, 64), np.linspace(0, 1, 64))
    for number in range(count):
        a, b, c = chance.uniform(2, 40, 3)
        turn = chance.uniform(0, np.pi)
        along = x * np.cos(turn) + y * np.sin(turn)
        plain = [
            chance.random((64, 64)),
            np.sin(a * along + b),
            np.sign(np.sin(a * x + c) * np.sin(b * y + a)),
            along * chance.uniform(0.3, 1) + 0.1 * np.sin(c * y),
            np.asarray(
                Image.fromarray(chance.integers(0, 256, (64, 64), np.uint8)).filter(ImageFilter.BoxBlur(5)), float
            ),
        ][number % 5]
        grey = (plain - plain.min()) / (plain.max() - plain.min()) * 255
        tint = chance.uniform(0.5, 1, 3)
        yield np.asarray(Image.fromarray((grey[..., None] * tint).astype(np.uint8)).resize((SIDE, SIDE), 2))


def test_of_a_thousand_unrelated_textures_at_most_one_pair_is_taken_for_a_picture_saved_again():
    made = dict(enumerate(textures(1000)))
    names = [str(number) for number in made]
    pairs = near_duplicates(
        {"train": names[::2], "val": names[1::2]},
        copies={},
        grey=lambda files: np.stack([made[int(name)].mean(axis=2).astype(np.uint8) for name in files]),
        colour=lambda name: made[int(name)],
    )
    assert len(pairs) <= 1, pairs


def test_the_hash_is_that_of_the_cosine_transform_by_its_definition():
    image = np.random.default_rng(0).integers(0, 256, (3, SIDE, SIDE), np.uint8)
    at = np.arange(SIDE)
    basis = np.cos(np.pi * np.outer(at[:8], 2 * at + 1) / (2 * SIDE))  # DCT-II, (8, SIDE)
    for one, found in zip(image, perceptual_hashes(image)[0], strict=True):
        low = basis @ one.astype(np.float64) @ basis.T
        want = (low > np.median(low)).ravel()
        assert np.unpackbits(np.array([found]).view(np.uint8)).tolist() == want.tolist()


def test_an_image_of_one_colour_has_no_hash():
    flat, other = np.full((SIDE, SIDE), 77, np.uint8), np.tile(np.arange(SIDE, dtype=np.uint8) * 8, (SIDE, 1))
    assert perceptual_hashes(np.stack([flat, other]))[1].tolist() == [False, True]


def test_hashes_that_differ_in_few_bits_are_found_wherever_these_are():
    chance = np.random.default_rng(0)
    hashes = chance.integers(0, 2**64, 400, np.uint64)
    bits = np.unpackbits(hashes[:200].view(np.uint8).reshape(-1, 8), axis=1)
    for row in bits:
        row[chance.choice(64, 3, replace=False)] ^= 1
    hashes[200:] = np.packbits(bits, axis=1).view(np.uint64).ravel()
    split = np.repeat([0, 1], 200)
    assert similar(hashes, split) == [(number, number + 200) for number in range(200)]


def test_the_candidates_grow_with_the_images_even_where_all_look_alike():
    for count in (100, 1000):
        pairs = similar(np.zeros(count, np.uint64), np.arange(count) % 2)
        assert len(pairs) <= 8 * near.NEIGHBOURS * count


def test_the_same_contours_in_other_colours_are_another_picture():
    one = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3)).astype(np.float64)
    assert same_picture(one, one) == 0
    assert same_picture(one, one[..., ::-1]) is None
    assert same_picture(one, (one + 40).clip(0, 255)) is None


def test_two_images_of_little_contrast_are_not_one_picture_because_their_pixels_are_near():
    one, two = np.random.default_rng(0).normal(128, 5, (2, SIDE, SIDE, 3))
    assert np.abs(one - two).mean() < near.DIFFERENCE
    assert same_picture(one, two) is None
