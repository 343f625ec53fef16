"""The heads that are chosen, and what their pictures show."""

import numpy as np
import torch

from headstart.features.probing.probe_kinds import ProbeSettings
from headstart.features.probing.probe_plots import grid_figure, stages_figure
from headstart.features.probing.probes import (
    Candidate,
    LabelledFeatures,
    Probe,
    ProbeData,
    best_by,
    candidates,
    first_empty,
)
from headstart.features.probing.stacked_heads import StackedHeads
from headstart.features.probing.standardisation import standardisation

KINDS = ProbeSettings(
    ridge=[1.0, 0.01], logistic=[0.1, 1.0], measures=["cosine", "softmax"], ks=[99, 3, 1], temperature=0.07,
    lr=[1e-3, 1e-1], weight_decay=[1.0, 0.0], epochs=5, batch_size=16, stops=False, seed=0,
)  # fmt: skip


def labelled(n=40, d=6, k=3, seed=0, noise=0.7):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(n) % k
    means = torch.randn(k, d, generator=torch.Generator().manual_seed(9))
    return LabelledFeatures(means[labels] + noise * torch.randn(n, d, generator=generator), labels)


def one(kind, stage, right):
    return Candidate(kind, stage, {}, right, Probe([{}], lambda *_: torch.empty(0)), 0)


def test_of_equals_the_first_is_chosen():
    found = [one("a", "low", 3), one("a", "low", 5), one("b", "low", 5), one("a", "high", 5), one("b", "high", 6)]
    best = best_by(lambda candidate: candidate.kind, found)
    assert best == {"a": found[1], "b": found[4]}
    assert best_by(lambda _: "", [found[1], found[2], found[3]])[""] is found[1]


def test_every_setting_of_every_kind_is_measured_on_val():
    material = ProbeData(labelled(), labelled(seed=1), 3)
    found = candidates(KINDS.named(), "low", material)
    counts = {kind: sum(c.kind == kind for c in found) for kind in KINDS.named()}
    assert counts == {"neighbours": 4, "ridge": 2, "logistic": 2, "linear": 4}  # k = 99 is left out
    for candidate in found:  # alone, a head says what it said among the others
        assert candidate.rightly(material.val) == candidate.right
    settings = [dict(c.setting) for c in found if c.kind == "neighbours"]
    assert settings == [{"measure": m, "k": k} for m in ("cosine", "softmax") for k in (3, 1)]


def test_a_kind_without_settings_is_left_out():
    assert list(KINDS._replace(ridge=[], measures=[], lr=[]).named()) == ["logistic"]
    few = ProbeData(LabelledFeatures(torch.eye(3), torch.arange(3)), labelled(d=3), 3)
    assert not candidates(KINDS._replace(ks=[99], ridge=[], logistic=[], lr=[]).named(), "low", few)


def test_linear_heads_are_on_the_scale_of_the_training_images():
    # a feature in other units changes nothing, in train, val and test alike
    factor = torch.tensor([1e3, 1e-3, 1, 1, 1, 1])
    train, val = labelled(), labelled(seed=1)
    plain = candidates(KINDS._replace(measures=[]).named(), "low", ProbeData(train, val, 3))
    train, val = (LabelledFeatures(factor * part.features + 5 * factor, part.labels) for part in (train, val))
    scaled = candidates(KINDS._replace(measures=[]).named(), "low", ProbeData(train, val, 3))
    assert [c.right for c in plain] == [c.right for c in scaled]


def test_a_stop_by_val_is_never_worse_on_val():
    material = ProbeData(labelled(noise=2), labelled(seed=1, noise=2), 3)
    last, best = (
        candidates(KINDS._replace(stops=stops, measures=[], ridge=[], logistic=[]).named(), "low", material)
        for stops in (False, True)
    )
    assert all(a.right <= b.right for a, b in zip(last, best, strict=True))
    assert all(1 <= c.setting["epoch"] <= 5 for c in best)


def test_constant_features_are_centred_only():
    features = torch.tensor([[0.1, 0.0, 1], [0.1, 0.0, 3]])
    found = standardisation(features)
    assert found.std.tolist() == [1, 1, 1]
    assert torch.allclose(found.of(features), torch.tensor([[0.0, 0, -1], [0, 0, 1]]))


def test_many_heads_say_what_each_says(monkeypatch):
    from headstart.features.probing import stacked_heads as module

    heads, features = StackedHeads(torch.randn(5, 3, 4), torch.randn(5, 3)), torch.randn(11, 4)
    want = torch.einsum("gkd,nd->gkn", heads.weight, features) + heads.bias[:, :, None]
    assert torch.allclose(heads.logits(features), want, atol=1e-5)
    monkeypatch.setattr(module, "CHUNK", 40)  # a few images at a time
    assert torch.equal(heads.predictions(features), want.argmax(1))


def test_the_first_class_without_an_image_is_found():
    assert first_empty(torch.tensor([0, 2, 0]), 3) == 1
    assert first_empty(torch.tensor([0, 1, 2]), 3) is None


def test_the_grid_shows_each_stage_from_its_worst_to_its_best_and_frames_the_chosen():
    panels = {"low": [[0.1, 0.2], [0.3, 0.4]], "high": [[0.9, 0.9], [0.9, 0.9]]}
    figure = grid_figure(panels, [1e-3, 1e-2], [0.0, 1.0], ("high", 1, 0))
    low, high = figure.axes
    assert np.allclose(low.images[0].get_array(), panels["low"])
    assert (low.images[0].norm.vmin, low.images[0].norm.vmax) == (0.1, 0.4)
    assert high.images[0].norm.vmax > 0.91  # no colours where there is no difference
    assert [text.get_text() for text in low.get_yticklabels()] == ["0.001", "0.01"]
    assert [text.get_text() for text in low.get_xticklabels()] == ["0", "1"]
    assert low.get_title() == "low: 0.100 to 0.400"
    (frame,) = high.patches
    assert frame.get_xy() == (-0.5, 0.5)  # type: ignore[attr-defined]
    assert not low.patches


def test_the_curve_has_a_line_a_kind_over_the_stages():
    (axes,) = stages_figure(["low", "high"], {"ridge": [0.2, 0.8], "linear": [0.3, 0.7]}).axes
    assert {line.get_label(): list(line.get_ydata()) for line in axes.lines} == {
        "ridge": [0.2, 0.8],
        "linear": [0.3, 0.7],
    }
    assert [text.get_text() for text in axes.get_xticklabels()] == ["low", "high"]
