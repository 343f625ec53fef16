"""PADA weighs the source's classes as they are predicted on the target; OSBP finds an unknown class."""

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, softmax

from composed import TINY, composed, trained
from headstart.adaptation.adaptation import DevicePredictions
from headstart.adaptation.dann import DANN
from headstart.adaptation.osbp import OSBP, unknown_loss
from headstart.adaptation.pada import PADA, class_weights
from headstart.cli import main
from headstart.runs.model_parts.assembly import assembled
from loss_cases import C, D, S, a_head

RUN = ["mode=scratch", "source.characters=digits", "target.shots=null", "trainer.max_epochs=1"]
RUN += ["trainer.limit_train_batches=4", "callbacks.figures=null"]
SOME = ["target.classes=[1,3,5]", "class_sets=partial"]
OPEN = ["source.classes=[0,1,2]", "target.classes=[1,2,8,9]", "class_sets=open"]


def pada():
    torch.manual_seed(2)
    one = PADA(weight=1.0, ramp="constant", hidden=8)
    one.prepare(width=D, num_classes=C, source_classes=C)
    return one


def seen(logits):
    positions = torch.arange(len(logits))
    return DevicePredictions(torch.zeros(len(logits), D), logits, positions, len(logits), lambda part: part)


def test_a_classes_weight_is_its_mean_probability_over_the_largest():
    logits = torch.randn(30, C, generator=torch.Generator().manual_seed(0))
    mean = softmax(logits.double().numpy(), axis=1).mean(axis=0)
    np.testing.assert_allclose(class_weights(seen(logits)).numpy(), mean / mean.max(), rtol=1e-5)


def test_the_weights_are_those_of_all_devices():
    logits = torch.randn(30, C, generator=torch.Generator().manual_seed(0))
    whole = class_weights(seen(logits))
    summed = logits.softmax(dim=1).sum(dim=0)
    half = DevicePredictions(torch.zeros(15, D), logits[::2], torch.arange(0, 30, 2), 30, lambda _: summed)
    torch.testing.assert_close(class_weights(half), whole)


def test_where_all_classes_are_alike_it_is_dann(sides):
    source, target = sides
    dann = DANN(weight=1.0, ramp="constant", hidden=8)
    dann.prepare(width=D, num_classes=C, source_classes=C)
    one = pada()
    dann.load_state_dict({name: tensor for name, tensor in one.state_dict().items() if name != "class_weight"})
    args = {"source": source, "target": target, "head": a_head(), "strength": 0.5}
    torch.testing.assert_close(one(**args), dann(**args))


def test_the_sources_losses_are_means_weighted_by_class(sides):
    source, target = (side._replace(features=side.features.detach()) for side in sides)
    one = pada()
    one.class_weight = torch.tensor([1.0, 0.25, 0.0])
    term = one(source=source, target=target, head=a_head(), strength=1.0)
    label = source.label.numpy()
    losses = -log_softmax(source.logits.numpy(), axis=1)[np.arange(S), label]
    counts = np.array([1.0, 0.25, 1e-12])[label]
    of_source, of_target = (one.discriminator(side.features).detach().numpy() for side in (source, target))
    domains = np.average(np.log1p(np.exp(-of_source)), weights=counts) + np.log1p(np.exp(of_target)).mean()
    want = domains + np.average(losses, weights=counts) - losses.mean()
    assert term.item() == pytest.approx(want, rel=1e-4)


def test_the_unknown_loss_is_the_cross_entropy_with_the_boundary():
    logits = torch.randn(20, 4, generator=torch.Generator().manual_seed(1))
    p = softmax(logits.double().numpy(), axis=1)[:, -1]
    for boundary in (0.5, 0.2):
        want = -(boundary * np.log(p) + (1 - boundary) * np.log(1 - p)).mean()
        assert unknown_loss(logits, boundary).item() == pytest.approx(want, rel=1e-5)
    even = torch.log(torch.tensor([[0.25, 0.25, 0.5]]))
    assert unknown_loss(even, 0.5).item() == pytest.approx(np.log(2))


def test_head_and_backbone_learn_against_each_other(sides):
    _, target = sides
    one, head = OSBP(weight=1.0, ramp="constant", boundary=0.5), a_head()
    plain = torch.autograd.grad(unknown_loss(head(target.features), 0.5), [target.features, head.weight])
    term = one(source=target, target=target, head=head, strength=0.25)
    found = torch.autograd.grad(term, [target.features, head.weight])
    torch.testing.assert_close(found[0], -0.25 * plain[0])
    torch.testing.assert_close(found[1], plain[1])


def test_a_partial_target_is_tested_among_all_of_the_sources_classes(tmp_path):
    result = trained("adaptation=pada", *RUN, *SOME, folder=tmp_path / "run")
    assert len(result["class_names"]) == 10
    with_images = {name for name, recall in result["test_recall_per_class"].items() if recall is not None}
    assert with_images == {"1", "3", "5"}
    state = torch.load(tmp_path / "run" / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    weight = state["adaptation.class_weight"]
    assert weight.max() == 1
    assert (weight < 1).sum() == 9


def test_an_open_targets_other_classes_are_one_and_no_source_image_is_of_it(tmp_path):
    parts = assembled(composed("adaptation=osbp", *RUN, *OPEN))
    assert parts.data.class_names == ("0", "1", "2", "unknown")
    assert set(parts.data.splits["train"].label.tolist()) == {0, 1, 2}
    counts = np.bincount(parts.data.splits["test"].label, minlength=4)
    assert counts.tolist() == [0, 72, 72, 144]
    result = trained("adaptation=osbp", *RUN, *OPEN, folder=tmp_path / "run")
    assert result["test_recall_per_class"]["unknown"] is not None


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (["adaptation=osbp"], "try class_sets=open"),
        (["class_sets=partial"], "is for an adaptation"),
        (["adaptation=osbp", *OPEN, "head.init=class_means"], "try head.init=random"),
        (["adaptation=dann", "class_sets=some"], "class_sets"),
    ],
)
def test_what_does_not_go_with_class_sets_is_one_message(tmp_path, monkeypatch, capsys, overrides, told):
    monkeypatch.chdir(tmp_path)
    assert main([*TINY, *RUN, *overrides]) != 0
    error = capsys.readouterr().err
    assert told in error
    assert "Traceback" not in error
