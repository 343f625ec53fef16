"""The space of an equal tuning: its keys and bounds, the settings that are tried, and its border."""

import math

import numpy as np
import pytest

from composed import composed
from headstart.recipes.search_space import DIMENSIONS, SHIFT, at_border, settings_of, space_of
from headstart.types import UserError

RATE, DECAY, STAGES = DIMENSIONS
EQUAL = ["tuning=equal", "trainer.max_epochs=16"]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_the_points_are_those_of_the_halton_sequence_and_the_same_in_every_arm():
    def radical_inverse(number, base):  # Halton 1960: the digits of a number, mirrored at the point
        inverse, weight = 0.0, 1 / base
        while number:
            number, digit = divmod(number, base)
            inverse, weight = inverse + digit * weight, weight / base
        return inverse

    cfg = composed("mode=fine_tuning")
    space = {RATE: (1e-4, 1e-1), DECAY: (1e-3, 1e-1), STAGES: (0.25, 1.0)}
    found = settings_of(cfg, space, 12)
    assert found[0] == {RATE: 0.002, DECAY: 0.05, STAGES: 0.5}
    for number, values in enumerate(found[1:]):
        for base, shift, (key, (low, high)) in zip((2, 3, 5), SHIFT, space.items(), strict=True):
            want = low * (high / low) ** ((radical_inverse(number, base) + shift) % 1)
            assert values[key] == pytest.approx(want, rel=5e-4)
            assert low <= values[key] <= high
    scratch = settings_of(composed("mode=scratch"), {RATE: space[RATE]}, 12)
    assert [one[RATE] for one in scratch] == [one[RATE] for one in found]
    assert settings_of(cfg, space, 5) == found[:5]


def test_eight_settings_lie_near_both_ends_of_the_space_and_nowhere_far_apart():
    cfg = composed("mode=scratch")
    space = space_of(cfg, **AUTO)
    low, high = space[RATE]
    places = sorted(math.log(one[RATE] / low) / math.log(high / low) for one in settings_of(cfg, space, 8))
    assert places[0] < 0.1
    assert places[-1] > 0.9
    assert max(np.diff(places)) < 0.16


AUTO = {"lr": "auto", "weight_decay": "auto", "stage_decay": [0.2, 1.0], "times": [0.03, 10]}


@pytest.mark.parametrize(
    ("overrides", "want"),
    [
        (["mode=scratch"], {RATE, DECAY}),
        (["mode=multi_task"], {RATE, DECAY}),
        (["mode=feature_extraction"], {RATE, DECAY}),
        (["mode=bias_only"], {RATE, DECAY}),
        (["mode=lora"], {RATE, DECAY}),
        (["mode=AnB"], {RATE, DECAY}),
        (["mode=AnB+"], {RATE, DECAY, STAGES}),
        (["mode=fine_tuning"], {RATE, DECAY, STAGES}),
        (["mode=gradual"], {RATE, DECAY, STAGES}),
        (["mode=scratch", "optimizer=adam"], {RATE}),  # its weight decay is 0
        (["mode=scratch", "optimizer.weight_decay=null"], {RATE}),
    ],
)
def test_an_arm_varies_what_it_has(overrides, want):
    assert set(space_of(composed(*overrides), **AUTO)) == want


def test_bounds_are_the_users_or_times_the_configs_value():
    cfg = composed("mode=fine_tuning")
    assert space_of(cfg, **AUTO)[RATE] == (6e-5, 0.02)
    own = AUTO | {"lr": [1e-4, 1e-2], "weight_decay": None, "stage_decay": None}
    assert space_of(cfg, **own) == {RATE: (1e-4, 1e-2)}
    for bounds in ([1e-2, 1e-4], [1e-3, 1e-3]):
        with pytest.raises(UserError, match=r"two rising bounds above 0, .* for optimizer.lr; try tuning.lr="):
            space_of(cfg, **AUTO | {"lr": bounds})


@pytest.mark.parametrize(
    ("values", "want"),
    [
        ({RATE: 1e-4}, [RATE]),
        ({RATE: 1.9e-4}, [RATE]),  # a tenth of three decades is a factor of 2
        ({RATE: 2.1e-4}, []),
        ({RATE: 4.9e-2}, []),
        ({RATE: 5.1e-2}, [RATE]),
        ({RATE: 1.0}, [RATE]),  # as the config had it, outside
        ({STAGES: 0.21}, [STAGES]),
        ({STAGES: 1.0}, []),  # nothing lies beyond
    ],
)
def test_the_border_is_the_outer_tenth_of_the_range_in_logarithms(values, want):
    space = {RATE: (1e-4, 1e-1), STAGES: (0.2, 1.0)}
    assert at_border(space, {RATE: 3e-3, STAGES: 0.5} | values) == want
