"""The operations equal torchvision's, and each is drawn as often as the others."""

from collections import Counter
from itertools import product

import pytest
import torch
from torchvision.transforms import v2

from headstart.data.loading.image_seed import ImageRng
from headstart.data.transforms import rand_augment, trivial_augment
from headstart.data.transforms.image_operations import LEVELS, NAMES, SIDED, DrawnOperation, operated, space
from headstart.data.transforms.rand_augment import RandAugment
from headstart.data.transforms.trivial_augment import TrivialAugment

THEIRS = {  # our name -> torchvision's
    "identity": "Identity", "shear_x": "ShearX", "shear_y": "ShearY", "translate_x": "TranslateX",
    "translate_y": "TranslateY", "rotate": "Rotate", "brightness": "Brightness", "color": "Color",
    "contrast": "Contrast", "sharpness": "Sharpness", "posterize": "Posterize", "solarize": "Solarize",
    "autocontrast": "AutoContrast", "equalize": "Equalize",
}  # fmt: skip
WIDE = space(shear=0.99, translate=32, rotate=135, enhance=0.99, dropped_bits=6)
FIXED_POINT = [name for name in NAMES if name not in ("solarize", "autocontrast", "equalize")]


def image_of(size=40, channels=3, seed=0, count=1):
    """Of 256 levels, darker to one side so that each operation has something to do."""
    generator = torch.Generator().manual_seed(seed)
    slope = torch.linspace(0.1, 0.8, size)
    noise = torch.rand(count, channels, size, size, generator=generator) * 0.2
    return ((slope + slope[:, None]) / 2 + noise).mul(255).round() / 255


def torchvisions(transform, image, name, level, negative):
    """What torchvision's own class makes of it, on the 256 levels that it wants."""
    magnitudes, signed = transform._AUGMENTATION_SPACE[THEIRS[name]]
    found = magnitudes(LEVELS, image.shape[-2], image.shape[-1])
    magnitude = 0.0 if found is None else float(found[level])
    made = transform._apply_image_or_video_transform(
        (image * 255).round().to(torch.uint8),
        THEIRS[name],
        -magnitude if signed and negative else magnitude,
        interpolation=v2.InterpolationMode.BILINEAR,
        fill=transform._fill,
    )
    return made / 255


def test_the_operations_are_those_of_torchvision():
    for transform in (v2.TrivialAugmentWide, v2.RandAugment):
        assert {THEIRS[name] for name in NAMES} == set(transform._AUGMENTATION_SPACE)
        assert {THEIRS[name] for name in SIDED} == {
            name for name, (_, signed) in transform._AUGMENTATION_SPACE.items() if signed
        }


class Given:
    """ImageRng that gives these numbers to the only image."""

    def __init__(self, *numbers):
        self.numbers = torch.tensor([numbers])

    def uniform(self, count):
        assert count == self.numbers.shape[1]
        return self.numbers


def number_of(name):
    return (NAMES.index(name) + 0.5) / len(NAMES)


@pytest.mark.parametrize("negative", [False, True])
@pytest.mark.parametrize("level", [0, 1, 9, 17, 30])
@pytest.mark.parametrize("name", NAMES)
def test_each_operation_at_each_strength_is_torchvisions(name, level, negative):
    image = image_of()
    numbers = (number_of(name), (level + 0.5) / LEVELS, 0.25 if negative else 0.75)
    want = torchvisions(v2.TrivialAugmentWide(num_magnitude_bins=LEVELS), image[0], name, level, negative)
    assert torch.equal(TrivialAugment()(image, Given(*numbers))[0], want)
    numbers = (number_of(name), 0.25 if negative else 0.75)
    want = torchvisions(v2.RandAugment(num_magnitude_bins=LEVELS), image[0], name, level, negative)
    assert torch.equal(RandAugment(operations=1, magnitude=level)(image, Given(*numbers))[0], want)


def test_several_operations_are_done_one_after_the_other():
    image = image_of()
    numbers = (number_of("translate_x"), 0.75, number_of("rotate"), 0.25)
    made = RandAugment(operations=2, magnitude=20)(image, Given(*numbers))[0]
    transform = v2.RandAugment()
    first = torchvisions(transform, image[0], "translate_x", 20, False)
    assert torch.equal(made, torchvisions(transform, first, "rotate", 20, True))


@pytest.mark.parametrize("name", FIXED_POINT)
def test_at_no_strength_an_image_of_256_levels_is_itself(name):
    image = image_of()
    assert torch.equal(operated(image, [[DrawnOperation(name, 0, False)]], WIDE), image)


def test_by_hand_a_shift_at_full_strength_is_32_pixels_and_black_comes_in():
    image = torch.ones(1, 3, 40, 40)
    made = operated(image, [[DrawnOperation("translate_x", 30, False)]], WIDE)[0]
    assert made[:, :, :32].sum() == 0
    assert made[:, :, 32:].min() == 1
    made = operated(image, [[DrawnOperation("translate_y", 30, True)]], WIDE)[0]
    assert made[:, 32 - 24 :].sum() == 0
    assert made[:, : 40 - 32].min() == 1


@pytest.mark.parametrize("channels", [1, 3])
def test_every_operation_takes_grey_and_colour_and_leaves_values_in_their_range(channels):
    image = image_of(channels=channels)
    for name in NAMES:
        for drawn in (DrawnOperation(name, 30, False), DrawnOperation(name, 30, True)):
            made = operated(image, [[drawn]], WIDE)
            assert made.shape == image.shape
            assert 0 <= made.min() <= made.max() <= 1


def drawn_by(module, augment, monkeypatch, count):
    """What an augmentation draws for so many images."""
    seen = []

    def noted(image, drawn, strengths):
        seen.extend(drawn)
        return image

    monkeypatch.setattr(module, "operated", noted)
    augment(torch.zeros(count, 1, 2, 2), ImageRng(seed=0, epoch=[0] * count, position=range(count)))
    return seen


def is_even(values, options):
    """Whether each option comes as often as the others, within 5 standard deviations."""
    counts = Counter(values)
    expected = counts.total() / len(options)
    assert set(counts) == set(options)
    return all(abs(count - expected) < 5 * expected**0.5 for count in counts.values())


def test_trivial_augment_draws_one_operation_of_any_strength_and_side_all_as_likely(monkeypatch):
    drawn = drawn_by(trivial_augment, TrivialAugment(), monkeypatch, 14_000)
    assert {len(one) for one in drawn} == {1}
    names, levels, sides = zip(*(one[0] for one in drawn), strict=True)
    assert is_even(names, NAMES)
    assert is_even(levels, range(LEVELS))
    assert is_even(sides, (False, True))
    assert is_even(zip(names, sides, strict=True), list(product(NAMES, (False, True))))


def test_rand_augment_draws_its_operations_independently_and_one_magnitude(monkeypatch):
    drawn = drawn_by(rand_augment, RandAugment(operations=2, magnitude=7), monkeypatch, 14_000)
    assert {len(one) for one in drawn} == {2}
    assert {each.level for one in drawn for each in one} == {7}
    assert is_even([(one.operation, other.operation) for one, other in drawn], list(product(NAMES, NAMES)))
    sides = (False, True)
    assert is_even([(one.negative, other.negative) for one, other in drawn], list(product(sides, sides)))
