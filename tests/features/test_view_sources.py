"""The code on which cached views depend."""

from headstart.data.transforms.augmentation import RandomAffine
from headstart.data.transforms.augmentation_chain import Chain
from headstart.data.transforms.rand_augment import RandAugment
from headstart.data.transforms.random_flip import RandomFlip
from headstart.features.cache.cached_activations import _modules_of

HERE = "headstart.data.transforms"


def test_views_depend_on_the_code_of_each_step_of_a_chain_and_of_what_a_step_is_made_of():
    steps = {"flip": RandomFlip(probability=0.5), "more": RandAugment(operations=2, magnitude=9)}
    found = _modules_of(Chain(steps=steps))
    assert {
        f"{HERE}.augmentation_chain",
        f"{HERE}.random_flip",
        f"{HERE}.rand_augment",
        f"{HERE}.image_operations",
    } <= found
    assert f"{HERE}.trivial_augment" not in found


def test_a_single_augmentation_depends_on_its_own_module():
    assert "headstart.data.transforms.augmentation" in _modules_of(RandomAffine(degrees=1, translate=0))
