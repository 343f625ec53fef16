"""p(source class | target class) equals a count, and the source's head is kept in the loss."""

import numpy as np
import pytest
import torch
from torch import nn
from torchvision import models

from composed import TINY, composed
from headstart.backbones.weights.tensors.tensor_matching import linear_head, matching
from headstart.backbones.zoo.torchvision_models import torchvision
from headstart.cli import main
from headstart.modules.heads.linear_head import LinearHead
from headstart.regularizers.co_tuning import CoTuning, direct, reverse
from headstart.runs.model_parts.assembly import assembled
from headstart.types import Batch, UserError
from headstart.unfreeze.parameter_groups import parameter_groups
from headstart.unfreeze.part_names import ModelParts

SOURCE = {
    "linear.weight": torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]),
    "linear.bias": torch.tensor([0.1, 0.0, 0.2]),
}


def parts():
    torch.manual_seed(0)
    return {"first": nn.Linear(3, 2), "second": nn.ReLU(), "head": LinearHead(width=2, num_classes=2, init="random")}


def begun(stages, **settings):
    term = CoTuning(**{"weight": 0.5, "relationship": "direct"} | settings)
    term.prepare(stages)
    term.take_head(SOURCE)
    term.begin(stages, ("first", "second"))
    return term


def rows(count, classes, seed=0):
    return torch.randn(count, classes, generator=torch.Generator().manual_seed(seed)).double().softmax(dim=1)


# ---------------------------------------------------------------------- how classes are related


def test_direct_is_the_mean_of_what_the_source_says_of_a_class():
    said = torch.tensor([[0.8, 0.2], [0.4, 0.6], [0.1, 0.9]]).double()
    torch.testing.assert_close(
        direct(said, torch.tensor([0, 0, 1]), 2), torch.tensor([[0.6, 0.4], [0.1, 0.9]]).double()
    )


def test_where_the_source_is_sure_reverse_is_the_count_of_source_classes_in_a_target_class():
    """Of target class 0 twenty images are source class 0 and ten class 1, of target class 1 all thirty class 2."""
    said = torch.eye(3).double()[[0] * 20 + [1] * 10 + [2] * 30]
    label = torch.tensor([0] * 30 + [1] * 30)
    got = reverse(said, label, said, label, 2)
    torch.testing.assert_close(got, torch.tensor([[2 / 3, 1 / 3, 0], [0, 0, 1]]).double(), atol=1e-3, rtol=0)


def test_reverse_is_bayes_rule_on_scikit_learns_logistic_regression():
    from sklearn.linear_model import LogisticRegression

    said, label = rows(60, 4), torch.arange(60) % 3
    said[torch.arange(60), label] += 1.0  # what the source says tells something
    said /= said.sum(dim=1, keepdim=True)
    val, val_label = said[:30], label[:30]
    found = []
    for c in (1e4, 1e3, 1e2, 1e1, 1.0, 1e-1, 1e-2, 1e-3, 1e-4):
        model = LogisticRegression(C=c, max_iter=5000, tol=1e-8).fit(said.numpy(), label.numpy())
        found.append((np.mean(model.predict(val.numpy()) == val_label.numpy()), model))
    model = max(found, key=lambda pair: pair[0])[1]  # the first of the best

    def softmax(x):
        e = np.exp(x - x.max(axis=1, keepdims=True))
        return e / e.sum(axis=1, keepdims=True)

    logits = model.decision_function(val.numpy())
    scales = np.logspace(-2, 2, 401)
    fits = [-np.log(softmax(scale * logits)[np.arange(30), val_label.numpy()]).mean() for scale in scales]
    given = softmax(scales[int(np.argmin(fits))] * (model.coef_.T + model.intercept_))  # (4, 3)
    joint = given.T * np.concatenate([said.numpy(), val.numpy()]).mean(axis=0)
    want = joint / joint.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(reverse(said, label, val, val_label, 3).numpy(), want, atol=0.02)


@pytest.mark.parametrize("seed", range(3))
def test_the_rows_of_both_are_probabilities(seed):
    said, label = rows(40, 5, seed), torch.arange(40) % 4
    for related in (direct(said, label, 4), reverse(said, label, said, label, 4)):
        assert related.shape == (4, 5)
        assert (related >= 0).all()
        torch.testing.assert_close(related.sum(dim=1), torch.ones(4).double())


# ---------------------------------------------------------------------- the term


def test_the_term_is_the_cross_entropy_of_the_sources_head_against_the_related_classes():
    stages = parts()
    term = begun(stages)
    term.related = torch.tensor([[0.7, 0.2, 0.1], [0.0, 0.5, 0.5]])
    features, label = torch.randn(4, 2, generator=torch.Generator().manual_seed(1)), torch.tensor([0, 1, 1, 0])
    got = term(stages=stages, batch=Batch(torch.empty(4, 3), label), features=features, outputs={})
    logits = features.numpy().astype(float) @ SOURCE["linear.weight"].numpy().T + SOURCE["linear.bias"].numpy()
    likely = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    want = -(term.related.numpy()[label] * likely).sum(axis=1).mean()
    assert float(got.detach()) == pytest.approx(0.5 * want, rel=1e-5)
    got.backward()
    assert float(term.source.weight.grad.abs().sum()) > 0  # it learns on


def test_look_relates_the_classes_by_what_the_source_says_of_the_training_images():
    stages = parts()
    term = begun(stages)
    image, label = torch.randn(10, 3, generator=torch.Generator().manual_seed(2)), torch.arange(10) % 2

    def batches(split, *, stored):
        for part, said in zip(torch.split(image, 4), torch.split(label, 4), strict=True):
            yield Batch(part, said)

    with torch.no_grad():
        term.look(stages, batches)
        features = stages["second"](stages["first"](image))
        said = (features @ SOURCE["linear.weight"].T + SOURCE["linear.bias"]).softmax(dim=1)
    want = torch.stack([said[label == number].mean(dim=0) for number in (0, 1)])
    torch.testing.assert_close(term.related, want)


def test_a_module_that_is_only_made_takes_head_and_relation_from_a_checkpoint():
    term = begun(parts())
    term.related = torch.tensor([[0.7, 0.2, 0.1], [0.0, 0.5, 0.5]])
    made = CoTuning(weight=0.5, relationship="direct")
    made.prepare(parts())
    made.load_state_dict(term.state_dict())
    assert torch.equal(made.source.weight, SOURCE["linear.weight"])
    assert torch.equal(made.related, term.related)


def test_the_sources_head_opens_with_the_last_stage_and_learns_at_its_rate():
    module = assembled(composed("mode=fine_tuning", "regularizer=co_tuning")).module
    head = {"linear.weight": torch.zeros(47, 32), "linear.bias": torch.zeros(47)}
    module.begin(module.backbone.names, head)
    found = ModelParts(module)
    assert found.part_of("regularizer.source.weight") == "stage4"
    assert "regularizer.source.weight" not in found.selected(["head", "stage3"])
    for layer_decay in (1.0, 0.5):
        groups = parameter_groups(module, lr=1.0, stage_decay=0.5, layer_decay=layer_decay)
        held = {id(p): group for group in groups for p in group["params"]}
        assert len(held) == len(list(module.parameters()))
        assert (
            held[id(module.regularizer.source.weight)]["lr"]
            == held[id(module.backbone.stages["stage4"][1].weight)]["lr"]
        )


# ---------------------------------------------------------------------- whose head it is


@pytest.mark.parametrize("name", ["resnet18", "googlenet"])
def test_the_head_of_a_torchvision_file_is_its_last_linear_layer_and_not_an_auxiliary_one(name):
    net = models.get_model(name, weights=None, **({"init_weights": False} if name == "googlenet" else {}))
    state = {f"module.{key}": tensor for key, tensor in net.state_dict().items()}
    backbone = torchvision(name=name, size=64, channels=3, keep=None)
    head = linear_head(state, matching(state, backbone, prefix=None), backbone)
    assert torch.equal(head["linear.weight"], net.fc.weight)
    assert torch.equal(head["linear.bias"], net.fc.bias)


def test_a_backbone_that_is_cut_short_or_a_file_of_stages_alone_has_no_head():
    net = models.resnet18(weights=None)
    state = net.state_dict()
    short = torchvision(name="resnet18", size=64, channels=3, keep=4)
    assert linear_head(state, matching(state, short, prefix=None), short) == {}
    whole = torchvision(name="resnet18", size=64, channels=3, keep=None)
    stages = {key: tensor for key, tensor in state.items() if not key.startswith("fc.")}
    assert linear_head(stages, matching(stages, whole, prefix=None), whole) == {}


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["mode=scratch"], "regularizer=co_tuning needs the source's own head, and there is none"),
        (
            ["mode=fine_tuning", "weights.reset_from=2"],
            "needs all stages of the source, and stage3, stage4 start afresh",
        ),
        (["mode=fine_tuning", "backbone.keep=2"], "the source's head reads 32 features, the backbone gives 8"),
    ],
)
def test_a_source_without_a_head_that_fits_is_one_line(overrides, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main([*TINY, "weights.max_epochs=1", "regularizer=co_tuning", *overrides]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert "Traceback" not in said


def test_classes_of_which_there_is_no_training_image_are_an_error():
    stages = parts()

    def batches(split, *, stored):
        yield Batch(torch.randn(3, 3), torch.zeros(3, dtype=torch.long))

    with pytest.raises(UserError, match="needs a training image of each class, class 1 has none"):
        begun(stages).look(stages, batches)


def test_a_run_relates_the_targets_classes_to_the_sources_and_its_model_can_be_evaluated(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main([*TINY, "mode=fine_tuning", "regularizer=co_tuning", "trainer.max_epochs=1", "logger=csv"]) == 0
    (folder,) = [path.parent for path in tmp_path.glob("outputs/runs/*/result.json")]
    kept = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    assert kept["regularizer.source.weight"].shape == (47, 32)
    torch.testing.assert_close(kept["regularizer.related"].sum(dim=1), torch.ones(10))
    assert main(["task=evaluate", f"evaluate.run_dir={folder}", "trainer.accelerator=cpu"]) == 0


@pytest.mark.slow
def test_a_file_of_a_finished_run_brings_its_head(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    own = [setting for setting in TINY if not setting.startswith(("weights", "trainer.max_epochs"))]
    own += ["trainer.max_epochs=1", "logger=csv", "callbacks.figures=null"]
    assert main([*own, "mode=scratch"]) == 0
    (path,) = tmp_path.glob("outputs/runs/*/checkpoints/best.ckpt")
    given = ["weights=file", f"weights.path='{path}'", "regularizer=co_tuning"]
    assert main([*own, *given, "mode=fine_tuning", "hydra.run.dir=second"]) == 0
    kept = torch.load("second/checkpoints/last.ckpt", weights_only=True)["state_dict"]
    assert kept["regularizer.related"].shape == (10, 10)
