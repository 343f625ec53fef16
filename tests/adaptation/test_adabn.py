"""AdaBN: each BatchNorm has the target's statistics when the model is tested, and only then."""

import csv

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from torch import nn

from composed import CONF, composed, trained
from headstart.adaptation.adabn import AdaBN
from headstart.backbones.batch_norm_statistics import norms_of
from headstart.runs.model_parts.assembly import assembled, check_adaptation
from headstart.types import UserError

RUN = ["mode=scratch", "source.characters=digits", "target.shots=null", "trainer.max_epochs=1"]
RUN += ["trainer.limit_train_batches=3", "callbacks.figures=null"]


def of_state(folder):
    return torch.load(folder / "checkpoints" / "best.ckpt", weights_only=True)["state_dict"]


def test_the_run_is_source_only_but_for_the_statistics_of_what_is_tested_and_kept(tmp_path):
    plain = trained("adaptation=source_only", *RUN, folder=tmp_path / "plain")
    adapted = trained("adaptation=adabn", *RUN, folder=tmp_path / "adapted")
    for name in plain["metrics"]:
        before_the_test = name.startswith(("val/", "target/", "domains/"))
        assert (plain["metrics"][name] == adapted["metrics"][name]) == before_the_test, name
    before, kept = of_state(tmp_path / "plain"), of_state(tmp_path / "adapted")
    changed = {name for name in kept if "metrics" not in name and not torch.equal(kept[name], before[name])}
    assert changed == {name for name in kept if name.endswith(("running_mean", "running_var"))}

    parts = assembled(composed("adaptation=adabn", *RUN))
    module = parts.module.eval()
    module.load_state_dict(kept)
    convolution = next(one for one in module.backbone.modules() if isinstance(one, nn.Conv2d))
    seen = []
    hook = convolution.register_forward_hook(lambda _, __, y: seen.append(y.detach().numpy()))
    for batch in parts.data.paired.plain_dataloader("train"):
        module(batch.image)
    hook.remove()
    values = np.moveaxis(np.concatenate(seen, dtype=np.float64), 1, 0).reshape(convolution.out_channels, -1)
    norm = norms_of(module.stages)[0]
    np.testing.assert_allclose(norm.running_mean, values.mean(axis=1), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(norm.running_var, values.var(axis=1), rtol=1e-4, atol=1e-5)

    right = [module(batch.image).argmax(1) == batch.label for batch in parts.data.plain_dataloader("test")]
    assert torch.cat(right).float().mean().item() == pytest.approx(adapted["metrics"]["test/accuracy"])


def test_the_oracle_judges_the_model_with_the_targets_statistics_and_leaves_training_as_it_is(tmp_path):
    plain = trained("adaptation=adabn", *RUN, folder=tmp_path / "plain")
    run = trained("adaptation=adabn", *RUN, "oracle=true", "logger=csv", folder=tmp_path / "oracle")
    with (tmp_path / "oracle" / "metrics.csv").open(newline="") as stream:
        rows = {row["step"]: row["oracle/accuracy"] for row in csv.DictReader(stream) if row["oracle/accuracy"]}
    at_the_kept_step = float(rows[str(run["best"]["step"])])
    assert at_the_kept_step == pytest.approx(run["metrics"]["test/accuracy"])
    source_only = trained("adaptation=source_only", *RUN, folder=tmp_path / "source_only")
    assert at_the_kept_step != pytest.approx(source_only["metrics"]["test/accuracy"])
    assert {**run["metrics"], "oracle/accuracy": None} == {**plain["metrics"], "oracle/accuracy": None}
    assert run["weights_hash"] == plain["weights_hash"]


def test_a_backbone_without_batchnorm_is_an_error_that_names_others():
    stages = {"stage": nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4)), "head": nn.Linear(4, 2)}
    with pytest.raises(UserError, match=r"this backbone has none; try backbone=small_cnn"):
        AdaBN().begin(stages, ())


@pytest.mark.parametrize("method", ["adabn", "sum"])
def test_it_is_an_error_before_any_source_model_is_trained(method):
    cfg = composed(f"adaptation={method}", "mode=fine_tuning", "target.shots=null")
    cfg.backbone = OmegaConf.load(CONF / "backbone" / "lenet.yaml")
    if method == "sum":
        cfg.adaptation.terms.second = composed("adaptation=adabn").adaptation
    with pytest.raises(UserError, match=r"replaces the statistics of BatchNorm, and this backbone has none"):
        check_adaptation(cfg)
