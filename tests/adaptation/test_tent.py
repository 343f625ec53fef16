"""TENT: norms alone learn certainty, and are tested with the target's statistics."""

import pytest
import torch
from scipy.stats import entropy
from torch import nn

from composed import TINY, composed, trained
from headstart.adaptation.adaptation import Side
from headstart.adaptation.tent import Tent
from headstart.backbones.batch_norm_statistics import norms_of, take_statistics
from headstart.cli import main
from headstart.runs.model_parts.assembly import assembled
from headstart.types import UserError

RUN = ["adaptation=tent", "mode=norm_only", "head.init=source", "source.characters=digits", "target.shots=null"]
RUN += ["weights.require_better=false", "callbacks.figures=null", "trainer.limit_train_batches=5"]


def of_state(folder, name="best.ckpt"):
    return torch.load(folder / "checkpoints" / name, weights_only=True)["state_dict"]


def test_the_term_is_the_mean_of_scipys_entropies():
    logits = torch.randn(20, 4)
    term = Tent(weight=1, ramp="constant")(
        source=Side(logits[:0], logits[:0], None), target=Side(logits, logits, None), head=None, strength=0.5
    )
    want = entropy(logits.double().softmax(dim=1).numpy(), axis=1).mean()
    assert term.item() == pytest.approx(0.5 * want, rel=1e-5)


def test_only_the_norms_of_the_sources_model_change_and_their_statistics_are_the_targets(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    trained(*RUN, "trainer.max_epochs=1", folder=tmp_path / "run")
    state = of_state(tmp_path / "run")
    source = of_state(next(tmp_path.glob("outputs/source/*/")))
    parts = assembled(composed(*RUN))
    norms = [name for name, part in parts.module.named_modules() if isinstance(part, nn.BatchNorm2d)]
    same = {
        name for name in source if name.startswith(("backbone.", "head.")) and torch.equal(state[name], source[name])
    }
    learnt = {f"{norm}.{name}" for norm in norms for name in ("weight", "bias", "running_mean", "running_var")}
    counters = {f"{norm}.num_batches_tracked" for norm in norms}
    assert {name for name in source if name.startswith(("backbone.", "head."))} - same - counters == learnt
    module = parts.module.eval()
    module.load_state_dict(state)

    def run():
        for batch in parts.data.hidden.plain_dataloader("train"):
            module.backbone(batch.image)

    with torch.no_grad():
        take_statistics(norms_of(module.stages), run)
    for name, tensor in module.state_dict().items():
        if name.endswith(("running_mean", "running_var")):
            torch.testing.assert_close(tensor, state[name], msg=name)


def test_a_backbone_without_batchnorm_is_an_error_that_names_others():
    stages = {"stage": nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4)), "head": nn.Linear(4, 2)}
    with pytest.raises(UserError, match=r"this backbone has none; try backbone=small_cnn"):
        Tent(weight=1, ramp="constant").begin(stages, ())


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (["mode=fine_tuning"], "trains norms alone"),
        (["target.batch_size=1"], "needs batches of 2 images or more"),
        (["head.init=class_means"], "try mode=norm_only head.init=source"),
    ],
)
def test_what_tent_cannot_do_is_one_message(tmp_path, monkeypatch, capsys, overrides, told):
    monkeypatch.chdir(tmp_path)
    assert main([*TINY, *RUN, *overrides]) != 0
    error = capsys.readouterr().err
    assert told in error
    assert "Traceback" not in error
