"""Does each BatchNorm have the target's statistics when the model is tested, and only then?"""

import numpy as np
import pytest
import torch
from torch import nn

from composed import composed, trained
from headstart.adaptation.adabn import AdaBN, norms_of, take_statistics
from headstart.tasks.parts import assembled
from headstart.types import UserError

RUN = ["mode=scratch", "source.characters=digits", "target.shots=null", "trainer.max_epochs=1"]
RUN += ["trainer.limit_train_batches=3", "callbacks.figures=null"]


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) * 3 + 2


def of_state(folder):
    return torch.load(folder / "checkpoints" / "best.ckpt", weights_only=True)["state_dict"]


@pytest.mark.parametrize("shape", [(5,), (5, 4, 3)])
def test_a_norms_statistics_are_those_of_all_batches_together(shape):
    norm = (nn.BatchNorm1d if len(shape) == 1 else nn.BatchNorm2d)(5).eval()
    images = drawn(23, *shape)
    take_statistics([norm], lambda: [norm(batch) for batch in images.split(9)])
    values = np.moveaxis(images.numpy(), 1, 0).reshape(5, -1)
    np.testing.assert_allclose(norm.running_mean, values.mean(axis=1), rtol=1e-5)
    np.testing.assert_allclose(norm.running_var, values.var(axis=1, ddof=1), rtol=1e-5)


def test_a_norm_behind_another_sees_what_that_one_makes_with_its_own_new_statistics():
    """And nothing is left of the statistics from before."""
    layers = nn.Sequential(nn.BatchNorm1d(4), nn.ReLU(), nn.BatchNorm1d(4)).eval()
    layers[0].running_mean.fill_(50)
    layers[2].running_var.fill_(70)
    x = drawn(30, 4)
    take_statistics([layers[0], layers[2]], lambda: layers(x))
    values = x.numpy()
    first = np.maximum((values - values.mean(axis=0)) / np.sqrt(values.var(axis=0) + 1e-5), 0)
    np.testing.assert_allclose(layers[2].running_mean, first.mean(axis=0), rtol=1e-4)
    np.testing.assert_allclose(layers[2].running_var, first.var(axis=0, ddof=1), rtol=1e-4)


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
    for batch in parts.data.companion.plain_dataloader("train"):
        module(batch.image)
    hook.remove()
    values = np.moveaxis(np.concatenate(seen, dtype=np.float64), 1, 0).reshape(convolution.out_channels, -1)
    norm = norms_of(module.stages)[0]
    np.testing.assert_allclose(norm.running_mean, values.mean(axis=1), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(norm.running_var, values.var(axis=1), rtol=1e-4, atol=1e-5)

    right = [module(batch.image).argmax(1) == batch.label for batch in parts.data.plain_dataloader("test")]
    assert torch.cat(right).float().mean().item() == pytest.approx(adapted["metrics"]["test/accuracy"])


def test_a_backbone_without_batchnorm_is_an_error_that_names_others():
    stages = {"stage": nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4)), "head": nn.Linear(4, 2)}
    with pytest.raises(UserError, match=r"this backbone has none; try backbone=small_cnn"):
        AdaBN().begin(stages, ())
