"""Transforms of torchvision change training images by seed, epoch and image, and nothing else."""

import pickle
import random

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from torchvision.transforms import v2

from folder_data import folder
from headstart.compat.hydra.hydra_instantiation import instantiate
from headstart.data.loading.image_seed import ImageRng
from headstart.data.transforms.augmentation_chain import Chain, augmentation_of
from headstart.data.transforms.library_transform import LibraryTransform
from headstart.data.transforms.random_flip import RandomFlip
from headstart.runs.saved.allowed_objects import is_allowed
from headstart.types import UserError

TRANSFORMS = {
    "erasing": v2.RandomErasing(p=1.0),
    "color_jitter": v2.ColorJitter(0.4, 0.4, 0.4, 0.1),
    "augmix": v2.AugMix(),
    "numpy": lambda image: image * float(np.random.rand()),
    "python": lambda image: image * random.random(),
}


def rng(*positions, epoch=0, seed=0):
    return ImageRng(seed=seed, epoch=[epoch] * len(positions), position=positions)


@pytest.fixture
def image():
    return torch.rand(4, 3, 16, 16, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", TRANSFORMS)
def test_an_image_is_changed_as_its_seed_epoch_and_position_say_whatever_batch_it_is_in(image, name):
    change = augmentation_of(TRANSFORMS[name])
    before = image.clone()
    whole = change(image, rng(5, 6, 7, 8))
    torch.rand(3), np.random.rand(3), random.random()
    assert torch.equal(change(image[2:3], rng(7))[0], whole[2])
    assert torch.equal(image, before)
    same = image[:1].expand(3, -1, -1, -1)
    for others in (rng(5, 6, 7), rng(5, 5, 5, epoch=1), rng(5, 5, 5, seed=1)):
        assert not torch.equal(change(same, others)[1], change(same, rng(5, 5, 5))[1])


@pytest.mark.parametrize("name", TRANSFORMS)
def test_the_global_generators_go_on_as_if_nothing_had_been_drawn(image, name):
    def drawn():
        return torch.rand(1).item(), np.random.rand(), random.random()

    states = torch.get_rng_state(), np.random.get_state(), random.getstate()
    want = drawn()
    torch.set_rng_state(states[0]), np.random.set_state(states[1]), random.setstate(states[2])
    augmentation_of(TRANSFORMS[name])(image, rng(1, 2, 3, 4))
    assert drawn() == want


def test_an_erased_box_is_the_one_that_torchvision_erases_with_the_same_state(image):
    change = v2.RandomErasing(p=1.0, value=0.5)
    made = augmentation_of(change)(image, rng(3, 4, 5, 6))
    upper, lower = (rng(3, 4, 5, 6).uniform(2).double() * 2**24).long().unbind(1)
    for one, plain, high, low in zip(made, image, upper.tolist(), lower.tolist(), strict=True):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(high * 2**24 + low)
            assert torch.equal(one, change(plain.clone()))


def test_a_list_is_one_after_the_other_and_our_own_augmentations_stay_what_they_are(image):
    flip = RandomFlip(probability=1.0)
    assert augmentation_of(flip) is flip
    chain = augmentation_of([v2.RandomErasing(p=1.0), None, flip])
    assert isinstance(chain, Chain)
    erased = augmentation_of(v2.RandomErasing(p=1.0))(image, rng(1, 2, 3, 4))
    assert torch.equal(chain(image, rng(1, 2, 3, 4)), erased.flip(-1))
    assert isinstance(augmentation_of(v2.Compose([flip])), LibraryTransform)


def test_a_list_from_a_config_is_made_and_can_be_sent_to_workers(image):
    nodes = OmegaConf.create(
        {
            "augment": [
                {"_target_": "torchvision.transforms.v2.ColorJitter", "brightness": [0.5, 1.5]},
                {"_target_": "torchvision.transforms.v2.RandomErasing", "scale": [0.1, 0.2]},
            ]
        }
    )
    change = augmentation_of(instantiate(nodes)["augment"])
    there = pickle.loads(pickle.dumps(change))
    assert torch.equal(there(image, rng(1, 2, 3, 4)), change(image, rng(1, 2, 3, 4)))


@pytest.mark.parametrize(
    ("transform", "said"),
    [
        (v2.Resize((4, 4)), r"augment Resize must give back an image of the shape.*made \(3, 4, 4\) of torch\.float32"),
        (v2.ToDtype(torch.uint8), r"augment ToDtype must give back .*of torch\.uint8"),
        (v2.RandomCrop(99), r"augment RandomCrop failed on an image \(3, 16, 16\).*larger than"),
        (lambda _: None, "and made NoneType"),
        (
            v2.Normalize([0.5] * 3, [0.1] * 3),
            r"augment Normalize must give back values in \[0, 1\].* mean and std come",
        ),
    ],
)
def test_what_gives_back_something_else_is_named(image, transform, said):
    with pytest.raises(UserError, match=said):
        augmentation_of(transform)(image, rng(1, 2, 3, 4))


def test_another_persons_config_may_name_transforms_but_none_that_calls_what_it_is_given():
    assert is_allowed("torchvision.transforms.v2.GaussianBlur")
    assert is_allowed("torchvision.transforms.v2.GaussianBlur".replace("v2.", "v2._misc."))
    assert not is_allowed("torchvision.transforms.v2.Lambda")
    assert not is_allowed("torchvision.transforms.v2.functional.to_pil_image")


def test_what_cannot_be_called_is_an_error():
    with pytest.raises(UserError, match=r"must be null or a mapping with the _target_ .* got 'erasing'"):
        augmentation_of("erasing")


@pytest.mark.parametrize("num_workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_training_images_alone_are_changed_and_each_epoch_anew(class_folders, num_workers):
    plain = folder(class_folders())
    data = folder(plain.root, augment=v2.ColorJitter(brightness=0.9), num_workers=num_workers)

    def images(loader):
        return {
            position: image.float()
            for batch in loader
            for position, image in zip(batch.position.tolist(), batch.image, strict=True)
        }

    for split in ("train", "val", "test"):
        now, want = images(data.plain_dataloader(split)), images(plain.plain_dataloader(split))
        assert all(torch.equal(now[at], want[at]) for at in want)
    loader = data.train_dataloader()
    first = images(loader)
    again = images(folder(plain.root, augment=v2.ColorJitter(brightness=0.9)).train_dataloader())
    assert all(torch.equal(first[at], again[at]) for at in again)
