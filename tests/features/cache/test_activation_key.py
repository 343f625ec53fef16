"""Keys of activations: what is computed again for known stages, and what is not."""

from contextlib import nullcontext

import pytest
import torch
from torch import nn

from headstart.backbones.stages import Backbone
from headstart.features.cache import activation_key as module
from headstart.features.cache.activation_key import Place, cuts_of
from headstart.types import Pixels

PLACES = [Place(1, False), Place(2, True)]


class Scale(nn.Module):
    def __init__(self, by=1.0):
        super().__init__()
        self.by = nn.Parameter(torch.tensor(by))

    def forward(self, x):
        return x * self.by


def made(second=Scale, by=2.0):
    pixels = Pixels(8, 1, (0.5,), (0.5,), resize=8, interpolation="bilinear")
    return Backbone({"one": Scale(3.0), "two": second(by)}, pixels=pixels, keep=None).eval()


@pytest.fixture
def asked(monkeypatch):
    """The places that noise was sent to."""
    seen = []
    ask = module.activations
    monkeypatch.setattr(module, "_FINGERPRINTS", {})
    monkeypatch.setattr(module, "activations", lambda b, x, places: seen.extend(places) or ask(b, x, places))
    return seen


def cuts(backbone, places=PLACES):
    return cuts_of(
        backbone, places, device=torch.device("cpu"), precision="32", dtype="float32", context=nullcontext
    )  # fmt: skip


def facts(found):
    return [(cut.place, cut.key, cut.shape, cut.fingerprint) for cut in found]


def test_stages_that_are_known_are_not_asked_again_and_others_are(asked):
    first = cuts(made())
    assert facts(cuts(made())) == facts(first)
    assert asked == PLACES
    assert [cut.shape for cut in first] == [(8, 8, 1), (1,)]
    other = cuts(made(by=2.5))
    assert asked == [*PLACES, PLACES[1]]
    assert [cut.key == one.key for cut, one in zip(other, first, strict=True)] == [True, False]
    assert other[0].fingerprint == first[0].fingerprint


def test_other_code_of_the_same_name_and_weights_is_asked(asked):
    class Other(Scale):
        def forward(self, x):
            return x - self.by

        def _get_name(self):
            return "Scale"

    first, second = cuts(made()), cuts(made(Other))
    assert [cut.key for cut in first] == [cut.key for cut in second]
    assert second[1].fingerprint != first[1].fingerprint


def test_what_has_a_hook_is_asked_each_time(asked):
    backbone = made()
    before = cuts(backbone)
    backbone.stages["two"].register_forward_hook(lambda _module, _given, out: out + 1)
    after = [cuts(backbone) for _ in range(2)]
    assert asked == 3 * PLACES
    assert after[0][1].fingerprint == after[1][1].fingerprint != before[1].fingerprint
