"""An augmentation moves an image as far as it should, by that image's own random numbers alone."""

from itertools import chain

import numpy as np
import pytest
import torch
from torch import Tensor

from data_conf import keywords
from headstart.data.datasets.digits import Digits
from headstart.data.decoding.pixel_conversion import standardised
from headstart.data.loading.image_seed import ImageRng
from headstart.data.transforms.augmentation import RandomAffine
from headstart.types import Pixels, UserError

GREY = Pixels(size=32, channels=1, mean=(0.3,), std=(0.35,))


class Fixed:
    """ImageRng that gives the same numbers to every image: 0.5 is the middle of a range, 1 its upper end."""

    def __init__(self, *numbers: float) -> None:
        self.numbers = torch.tensor([numbers])

    def uniform(self, count: int) -> Tensor:
        assert count == self.numbers.shape[1]
        return self.numbers


def moved(image: Tensor, *numbers: float, degrees: float = 0, translate: float = 0) -> Tensor:
    return RandomAffine(degrees=degrees, translate=translate)(image, Fixed(*numbers))


MOVED = RandomAffine(degrees=15, translate=0.1)


def digits(*, augment=MOVED, seed=3, **changes) -> Digits:
    given = keywords("digits") | {"shots": 3, "batch_size": 7, "augment": augment, "pixels": GREY}
    return Digits(**given | changes, seed=seed)


def seen(data: Digits, epoch: int) -> dict[int, Tensor]:
    """The training images of an epoch, normalised, by their position."""
    loader = data.train_dataloader()
    loader.batch_sampler.sampler.set_epoch(epoch)
    places = list(chain(*loader.batch_sampler))
    assert {at for at, _ in places} == {epoch}
    image = torch.cat([batch.image for batch in loader])
    if image.dtype == torch.uint8:  # nothing is left to do but what the backbone does
        image = standardised(image / 255, data.pixels)
    return dict(zip([at for _, at in places], image, strict=True))


def same(one: dict[int, Tensor], two: dict[int, Tensor]) -> bool:
    assert one.keys() == two.keys()
    return all(torch.equal(one[key], two[key]) for key in one)


COUNTED = torch.arange(1.0, 17).view(1, 1, 4, 4)


def test_no_degrees_and_no_shift_give_the_images_themselves():
    image = torch.rand(5, 3, 8, 8)
    rng = ImageRng(seed=0, epoch=[0] * 5, position=range(5))
    assert torch.equal(RandomAffine(degrees=0, translate=0)(image, rng), image)


@pytest.mark.parametrize(
    ("right", "down", "want"),
    [
        (1.0, 0.5, [[0, 1, 2, 3], [0, 5, 6, 7], [0, 9, 10, 11], [0, 13, 14, 15]]),
        (0.5, 1.0, [[0, 0, 0, 0], [1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11, 12]]),
        (0.0, 0.5, [[2, 3, 4, 0], [6, 7, 8, 0], [10, 11, 12, 0], [14, 15, 16, 0]]),
        (0.75, 0.5, [[0.5, 1.5, 2.5, 3.5], [2.5, 5.5, 6.5, 7.5], [4.5, 9.5, 10.5, 11.5], [6.5, 13.5, 14.5, 15.5]]),
        (0.5, 0.5, COUNTED[0, 0].tolist()),
    ],
)
def test_a_quarter_of_four_pixels_is_a_shift_by_one(right, down, want):
    assert torch.allclose(moved(COUNTED, 0.5, right, down, translate=0.25)[0, 0], torch.tensor(want).float())


def test_90_degrees_turn_counter_clockwise():
    assert torch.allclose(moved(COUNTED, 1.0, 0.5, 0.5, degrees=90), torch.rot90(COUNTED, 1, (2, 3)), atol=1e-4)
    assert torch.allclose(moved(COUNTED, 0.0, 0.5, 0.5, degrees=90), torch.rot90(COUNTED, -1, (2, 3)), atol=1e-4)


def test_an_image_is_turned_before_it_is_shifted():
    turned = torch.rot90(COUNTED, 1, (2, 3))
    want = torch.cat([torch.zeros(1, 1, 4, 1), turned[..., :3]], dim=3)
    assert torch.allclose(moved(COUNTED, 1.0, 1.0, 0.5, degrees=90, translate=0.25), want, atol=1e-4)


def test_torchvision_turns_alike():
    functional = pytest.importorskip("torchvision.transforms.v2.functional")
    image = torch.rand(1, 3, 32, 32)
    want = functional.rotate(image, 20.0, interpolation=functional.InterpolationMode.BILINEAR)
    assert torch.allclose(moved(image, 1.0, 0.5, 0.5, degrees=20), want, atol=1e-4)


def test_every_image_of_a_batch_moves_by_its_own_numbers():
    image = torch.rand(40, 1, 16, 16)
    augment = RandomAffine(degrees=20, translate=0.2)
    together = augment(image, ImageRng(seed=1, epoch=[4] * 40, position=range(40)))
    for at in range(40):
        alone = augment(image[at : at + 1], ImageRng(seed=1, epoch=[4], position=[at]))
        assert torch.equal(together[at : at + 1], alone)


def test_moves_fill_their_range_and_stay_in_it():
    dot = torch.zeros(1, 1, 32, 32)
    dot[..., 16, 16] = 1
    image = dot.expand(400, 1, 32, 32)
    made = RandomAffine(degrees=0, translate=0.25)(image, ImageRng(seed=0, epoch=[0] * 400, position=range(400)))
    column = (made.sum(2) * torch.arange(32)).sum((1, 2)) - 16
    row = (made.sum(3) * torch.arange(32)).sum((1, 2)) - 16
    for shift in (column, row):
        assert -8 <= shift.min() < -7.5
        assert 7.5 < shift.max() <= 8
    assert abs(np.corrcoef(column, row)[0, 1]) < 0.2


def test_training_images_change_from_epoch_to_epoch_and_come_again():
    data = digits()
    first, second = seen(data, 0), seen(data, 1)
    assert all(not torch.equal(first[key], second[key]) for key in first)
    assert same(seen(digits(), 1), second)
    assert same(seen(data, 0), first)


def test_without_augmentation_an_image_is_the_same_in_every_epoch():
    data = digits(augment=None)
    assert same(seen(data, 0), seen(data, 1))


def test_an_augmentation_that_moves_nothing_gives_the_images_themselves():
    assert same(seen(digits(augment=RandomAffine(degrees=0, translate=0)), 5), seen(digits(augment=None), 5))


@pytest.mark.parametrize("changes", [{"batch_size": 3}, {"batch_size": 64}, {"num_workers": 2}])
def test_an_image_depends_on_no_batch_and_no_worker(changes):
    assert same(seen(digits(**changes), 2), seen(digits(), 2))


def test_augmentation_neither_reads_nor_moves_the_global_random_state():
    torch.manual_seed(5)
    state = torch.get_rng_state()
    first = seen(digits(), 1)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(6)
    assert same(seen(digits(), 1), first)


def test_another_seed_augments_otherwise():
    image = torch.ones(1, 1, 8, 8)
    one, two = (MOVED(image, ImageRng(seed=seed, epoch=[0], position=[0])) for seed in (0, 1))
    assert not torch.equal(one, two)


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_who_only_looks_at_a_split_sees_its_images_unchanged(split):
    plain, changed = (digits(augment=augment).plain_dataloader(split) for augment in (None, MOVED))
    for one, two in zip(plain, changed, strict=True):
        assert torch.equal(one.image, two.image)


def test_validation_and_test_are_not_augmented():
    plain, changed = digits(augment=None), digits()
    for one, two in zip(plain.val_dataloader(), changed.val_dataloader(), strict=True):
        assert torch.equal(one.image, two.image)
    for one, two in zip(plain.test_dataloader(), changed.test_dataloader(), strict=True):
        assert torch.equal(one.image, two.image)


class Inverted:
    """A user's own."""

    def __call__(self, image: Tensor, rng: ImageRng) -> Tensor:
        assert image.min() >= 0
        assert image.max() <= 1
        assert rng.uniform(2).shape == (len(image), 2)
        return 1 - image


def test_a_class_of_ones_own_sees_values_from_0_to_1_before_mean_and_deviation():
    plain, inverted = seen(digits(augment=None), 0), seen(digits(augment=Inverted()), 0)
    for key, image in plain.items():
        assert torch.allclose(inverted[key], (1 - (image * 0.35 + 0.3) - 0.3) / 0.35, atol=1e-6)


def test_an_augmentation_that_changes_the_size_is_an_error_with_both_shapes():
    data = digits(augment=lambda image, _: image[..., 1:])
    with pytest.raises(UserError, match=r"\(7, 1, 32, 32\).*made \(7, 1, 32, 31\)"):
        next(iter(data.train_dataloader()))


def test_the_name_of_an_option_is_no_augmentation():
    with pytest.raises(UserError, match=r"got 'affine'.*augment@target\.augment=affine"):
        digits(augment="affine")
