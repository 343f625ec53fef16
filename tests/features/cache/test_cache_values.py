"""Keys and entries of the cache are values; fingerprints differ where the code does, and not by rounding."""

from contextlib import nullcontext

import numpy as np
import pytest
import torch
from torch import nn

from data_classes import data_classes_of, is_frozen
from headstart.backbones.stages import Backbone
from headstart.features.cache import activation_key, cache_shards
from headstart.features.cache.activation_key import Cut, Place, cuts_of, same_fingerprint
from headstart.types import Pixels


def test_keys_and_entries_are_values_that_nothing_changes():
    classes = data_classes_of("headstart.features.cache")
    assert {"Cut", "CacheEntry"} <= {cls.__name__ for cls in classes}
    assert [cls for cls in classes if not is_frozen(cls)] == []


def test_a_cut_is_its_place_and_key_whatever_its_code_answers():
    first, second = (Cut(Place(1, False), "a", (3,), {"stages": {}}, fingerprint) for fingerprint in ((1.0,), (2.0,)))
    assert first == second
    assert len({first, second}) == 1


@pytest.mark.parametrize(
    ("second", "want"),
    [
        ((1.0, -4.0), True),
        ((1.07, -4.0), True),  # 0.07 of 4 are less than 2 %
        ((1.09, -4.0), False),
        ((1.0, -3.9), False),
        ((1.0, -4.0, 0.0), False),
        ((1.0,), False),
    ],
)
def test_fingerprints_are_the_same_up_to_two_percent_of_the_largest_number(second, want):
    assert same_fingerprint((1.0, -4.0), second) is want


def test_a_fingerprint_is_64_numbers_from_the_first_to_the_last_activation(monkeypatch):
    monkeypatch.setattr(activation_key, "_FINGERPRINTS", {})
    pixels = Pixels(8, 3, (0.5,) * 3, (0.5,) * 3, resize=8, interpolation="bilinear")
    backbone = Backbone({"one": nn.Conv2d(3, 2, 1)}, pixels=pixels, keep=None).eval()
    place = Place(1, False)
    (cut,) = cuts_of(
        backbone, [place], device=torch.device("cpu"), precision="32", dtype="float32", context=nullcontext
    )
    maps = activation_key.activations(backbone, activation_key._noise(backbone), [place])[place]
    numbers = [float(value) for value in maps.permute(0, 2, 3, 1).flatten()]
    assert (len(numbers), len(cut.fingerprint), cut.shape) == (256, 64, (8, 8, 2))
    assert (cut.fingerprint[0], cut.fingerprint[-1]) == (numbers[0], numbers[-1])
    at = [numbers.index(value) for value in cut.fingerprint]
    assert set(np.diff(at)) <= {4, 5}, "evenly spread"


def test_a_file_that_cannot_be_read_has_no_images(tmp_path):
    (tmp_path / "torn.safetensors").write_bytes(b"torn")
    assert len(cache_shards.digests(tmp_path / "torn.safetensors")) == 0
