"""What holds for every augmentation of conf/augment, and for a chain of them."""

from itertools import chain

import pytest
import torch
from hydra import compose, initialize_config_dir

from composed import CONF
from data_conf import keywords
from headstart.compat.hydra.hydra_instantiation import instantiate
from headstart.data.datasets.digits import Digits
from headstart.data.loading.image_seed import ImageRng
from headstart.data.transforms.augmentation_chain import Chain, augmentation_of
from headstart.data.transforms.random_flip import RandomFlip
from headstart.types import Pixels

GREY = Pixels(size=32, channels=1, mean=(0.3,), std=(0.35,))
OPTIONS = sorted(path.stem for path in (CONF / "augment").glob("*.yaml"))


def chosen(option):
    """The augmentation that a run with this option has."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        composed = compose("config", overrides=[f"augment@target.augment={option}"])
    return augmentation_of(instantiate(composed.target.augment))


@pytest.fixture(params=OPTIONS)
def augment(request):
    return chosen(request.param)


def chance(positions, *, seed=0, epoch=0):
    positions = list(positions)
    return ImageRng(seed=seed, epoch=[epoch] * len(positions), position=positions)


def test_values_stay_from_0_to_1_and_shapes_as_they_are(augment):
    generator = torch.Generator().manual_seed(0)
    for image in (torch.rand(60, 3, 24, 24, generator=generator), torch.ones(60, 1, 24, 24)):
        made = augment(image, chance(range(60)))
        assert (made.shape, made.dtype) == (image.shape, image.dtype)
        assert 0 <= made.min() <= made.max() <= 1


def test_an_image_is_the_same_in_any_batch_and_another_in_another_epoch_or_run(augment):
    image = torch.rand(60, 3, 24, 24, generator=torch.Generator().manual_seed(0))
    together = augment(image, chance(range(60)))
    alone = torch.cat([augment(image[at : at + 1], chance([at])) for at in range(60)])
    assert torch.equal(alone, together)
    for other in ({"epoch": 1}, {"seed": 1}):
        assert not torch.equal(augment(image, chance(range(60), **other)), together)


def test_the_given_images_are_left_as_they_are(augment):
    image = torch.rand(1, 1, 16, 16).expand(20, 3, -1, -1)  # one memory for all, as repeated grey is
    before = image.clone()
    augment(image, chance(range(20)))
    assert torch.equal(image, before)


def test_workers_make_the_images_that_one_process_makes(augment):
    def seen(num_workers, batch_size):
        loading = {"batch_size": batch_size, "num_workers": num_workers, "augment": augment}
        data = Digits(**keywords("digits") | loading | {"shots": 2}, pixels=GREY, seed=3)
        loader = data.train_dataloader()
        places = list(chain(*loader.batch_sampler))
        return dict(zip(places, torch.cat([batch.image for batch in loader]), strict=True))

    one, two = seen(0, 7), seen(2, 5)
    assert one.keys() == two.keys()
    assert all(torch.equal(one[place], two[place]) for place in one)


def test_the_global_random_state_is_neither_read_nor_moved(augment):
    image = torch.rand(20, 3, 16, 16)
    torch.manual_seed(5)
    state = torch.get_rng_state()
    first = augment(image, chance(range(20)))
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(6)
    assert torch.equal(augment(image, chance(range(20))), first)


def test_the_standard_is_the_crop_then_the_flip_with_the_numbers_that_follow():
    image = torch.rand(20, 3, 16, 16)
    one_after_the_other = chance(range(20))
    want = chosen("flip")(chosen("random_resized_crop")(image, one_after_the_other), one_after_the_other)
    assert torch.equal(chosen("standard")(image, chance(range(20))), want)


class Added:
    def __call__(self, image, rng):
        return image + 1


class Doubled:
    def __call__(self, image, rng):
        return 2 * image


def test_a_chain_keeps_the_order_in_which_its_steps_are_named():
    image = torch.ones(1, 1, 2, 2)
    assert Chain(steps={"b": Added(), "a": Doubled()})(image, chance([0])).max() == 4
    assert Chain(steps={"a": Doubled(), "b": Added()})(image, chance([0])).max() == 3


def test_a_step_that_is_null_is_left_out():
    image = torch.rand(5, 1, 8, 8)
    left_out = Chain(steps={"shift": None, "flip": RandomFlip(probability=1)})
    assert torch.equal(left_out(image, chance(range(5))), image.flip(-1))
