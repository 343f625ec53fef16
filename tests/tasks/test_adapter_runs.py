"""A run with LoRA or adapters trains them and the head alone, and its model is the same wherever it is rebuilt."""

import json
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf
from torch import nn

from composed import TINY, composed, figures
from headstart.backbones.injected import lora
from headstart.backbones.zoo.torchvision_models import torchvision
from headstart.cli import main
from headstart.compat.hydra.hydra_instantiation import instantiate
from headstart.features.cache.activation_cache import FeatureCache
from headstart.runs.model_parts.assembly import assembled, schedule_of
from headstart.runs.saved.finished_model import finished_model
from headstart.runs.saved.finished_run import run_config
from headstart.unfreeze.parameter_groups import parameter_groups
from killed import command, said

RUN = [*TINY, "trainer.max_epochs=2", "callbacks.figures=null", "logger=csv"]
MODES = ("lora", "adapters")
CPU = {"_target_": "pytorch_lightning.Trainer", "accelerator": "cpu", "precision": "32-true"}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("adapters")


@pytest.fixture(autouse=True)
def here(place, monkeypatch):
    monkeypatch.chdir(place)  # where outputs/source is


def run_of(*overrides):
    """The folder of a run with these overrides, which is trained where it was not yet."""
    there = set(Path("outputs").glob("runs/*"))
    assert main([*RUN, *overrides]) == 0
    (folder,) = set(Path("outputs").glob("runs/*")) - there or [
        path for path in there if result(path)["overrides"] == [*RUN, *overrides]
    ]
    return folder.absolute()


@pytest.fixture(scope="module")
def runs(place):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        return {mode: run_of(f"mode={mode}") for mode in MODES}


def result(folder):
    return json.loads((folder / "result.json").read_text())


def weights(folder, name="last.ckpt"):
    return torch.load(folder / "checkpoints" / name, weights_only=True)["state_dict"]


def images(count=6):
    return torch.randint(0, 256, (count, 1, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def is_adapters(name):
    return ".lora_" in name or ".adapter." in name


@pytest.mark.parametrize("mode", MODES)
def test_a_run_ends_with_every_number_of_the_source_and_has_moved_all_others(mode, runs, place):
    (source,) = (place / "outputs" / "source").glob("*/checkpoints/best.ckpt")
    before = torch.load(source, weights_only=True)["state_dict"]
    after = weights(runs[mode])
    own = {name.replace(".base_layer", ""): tensor for name, tensor in after.items() if not is_adapters(name)}
    backbone = {name for name in before if name.startswith("backbone.")}  # with the running statistics
    assert len(backbone) == 24
    assert all(torch.equal(own[name], before[name]) for name in backbone)
    start = assembled(run_config(runs[mode])).module.state_dict()
    learned = [name for name in after if is_adapters(name)]
    assert len(learned) == {"lora": 8, "adapters": 16}[mode]
    assert all(after[name].any() for name in learned)
    zeros = [name for name in learned if not start[name].any()]
    assert len(zeros) == {"lora": 4, "adapters": 8}[mode]  # B; weight and bias of up


@pytest.mark.parametrize("mode", MODES)
def test_result_json_the_log_and_the_plan_say_how_much_learns_as_the_formula_does(mode, runs, capsys):
    widths = [1, 4, 8, 16, 32]
    pairs = list(pairwise(widths))
    put_in = sum(8 * (9 * i + o) if mode == "lora" else 2 * 16 * o + 16 + o for i, o in pairs)
    head = 32 * 10 + 10
    everything = sum(9 * i * o + 2 * o for i, o in pairs) + head + put_in
    assert result(runs[mode])["trainable"] == {"parameters": head + put_in, "of": everything}
    share = f"learns {100 * (head + put_in) / everything:.1f} % of {everything:,} parameters"
    assert share in (runs[mode] / "headstart.log").read_text()
    assert main(["task=plan", *RUN, f"mode={mode}"]) == 0
    out = capsys.readouterr().out
    assert share in out
    assert f" {head + put_in:,} " in next(line for line in out.splitlines() if line.startswith("1 adapters"))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.slow
def test_the_finished_model_the_evaluated_and_the_exported_one_are_the_trained_one(mode, runs, capsys):
    found = finished_model(OmegaConf.create({"trainer": CPU}), runs[mode], "best")
    module = assembled(run_config(runs[mode])).module
    module.load_state_dict(weights(runs[mode], "best.ckpt"))
    with torch.no_grad():
        want = module.eval()(images())
        torch.testing.assert_close(found.head(found.backbone(images())), want, rtol=0, atol=0)
    assert main(["task=evaluate", f"evaluate.run_dir={runs[mode]}", "trainer.accelerator=cpu"]) == 0
    said_so = dict(line.split() for line in capsys.readouterr().out.splitlines() if line.startswith("test/acc"))
    assert float(said_so["test/accuracy"]) == pytest.approx(result(runs[mode])["metrics"]["test/accuracy"], abs=1e-4)
    assert main(["task=export", f"export.run_dir={runs[mode]}", "export.format=torchscript", "export.out_dir=out"]) == 0
    exported = torch.jit.load("out/model.ts")
    with torch.no_grad():
        torch.testing.assert_close(exported(images()), want, rtol=1e-4, atol=1e-5)
    names = set(exported.state_dict())
    assert len(names) == (28 if mode == "lora" else 28 + 16)  # merged, nothing is left of LoRA: 24, the head, mean, std
    assert not any("lora" in name or "base_layer" in name for name in names)


def test_what_is_drawn_besides_is_as_in_other_modes():
    heads = []
    for mode in ("fine_tuning", *MODES):
        torch.manual_seed(0)
        heads.append(assembled(composed(f"mode={mode}")).head.linear.weight)
    assert torch.equal(heads[0], heads[1])
    assert torch.equal(heads[0], heads[2])


def test_the_stages_before_the_first_adapter_are_stored_and_nothing_else(place):
    before = {entry.key for entry in kept()}
    run_of("mode=lora")  # all stages have adapters
    assert {entry.key for entry in kept()} == before
    stored = run_of("mode=lora", "lora.layers=[stage3]", "lora.dropout=0.2")
    (own,) = {entry.key for entry in kept()} - before
    assert list(json.loads((place / "outputs" / "store" / own / "about.json").read_text())["stages"]) == [
        "stage1",
        "stage2",
    ]
    live = run_of("mode=lora", "lora.layers=[stage3]", "lora.dropout=0.2", "feature_cache=off")
    for got, want in zip(figures(stored), figures(live), strict=True):
        assert got == pytest.approx(want, abs=1e-5)


def kept():
    return FeatureCache(folder="outputs/store", max_gib=1, dtype="float32", views=0).entries()


@pytest.mark.slow
def test_a_closed_stage_with_adapters_has_rows_of_its_own_the_plain_one_before_it_shares_its(runs, place):
    gradual = [*("mode=gradual", "unfreeze.first_epoch=1", "unfreeze.every_epochs=1"), "unfreeze.warmup_steps=0"]
    plain = stages_stored(place, *gradual)
    injected = stages_stored(place, *gradual, "peft=adapters", "adapters.layers=[stage3,stage4]")
    both = plain & injected
    assert both == {key for key in plain if key[1] == ("stage1", "stage2")}
    assert {key[1] for key in injected - both} >= {("stage1", "stage2", "stage3")}


def stages_stored(place, *overrides):
    """(key, stages) of what a run with a store of its own has put there."""
    assert main([*RUN, *overrides, "feature_cache.folder=own", "rerun=true", "trainer.max_epochs=4"]) == 0
    found = {
        (about.parent.name, tuple(json.loads(about.read_text())["stages"])) for about in place.glob("own/*/about.json")
    }
    for about in place.glob("own/*/*"):
        about.unlink()
    return found


@pytest.mark.slow
def test_gradual_opens_the_adapters_of_one_stage_after_the_other():
    folder = run_of("mode=gradual", "peft=adapters", "unfreeze.every_epochs=2", "trainer.max_epochs=4")
    after = weights(folder)
    moved = {name.split(".")[2] for name in after if name.endswith("adapter.up.weight") and after[name].any()}
    assert moved == {"stage3", "stage4"}


def test_l2_sp_takes_adapters_for_near_the_source_where_the_model_is_the_sources():
    module = assembled(composed("mode=lora", "regularizer=l2_sp")).module
    module.begin(("stage1", "stage2", "stage3", "stage4"), {})
    term = module.regularizer(stages=module.stages, batch=None, features=None, outputs={})
    head = sum(float(p.detach().square().sum()) for p in module.head.parameters())
    assert float(term.detach()) == pytest.approx(0.01 / 2 * head, rel=1e-5)


class Model(nn.Module):
    def __init__(self, backbone):
        super().__init__()
        self.backbone, self.head = backbone, nn.Linear(backbone.width, 2)
        self.stages = {**backbone.stages, "head": self.head}


@pytest.mark.parametrize("mode", MODES)
def test_with_layer_decay_an_adapter_has_the_rate_of_its_layer(mode):
    cfg = composed(f"mode={mode}")
    backbone = torchvision(name="resnet18", size=32, channels=1, keep=None)
    instantiate(cfg[mode], _convert_="all").inject(backbone)
    model = Model(backbone)
    groups = parameter_groups(model, lr=1.0, layer_decay=0.5, schedule=schedule_of(cfg))
    names = {id(p): name for name, p in model.named_parameters()}
    rates = {names[id(p)]: group["lr"] for group in groups for p in group["params"]}
    assert len(rates) == len(names)
    conv = "backbone.stages.layer2.0.conv1"
    weight, own = {
        "lora": (f"{conv}.base_layer.weight", f"{conv}.lora_A.default.weight"),
        "adapters": (f"{conv}.weight", f"{conv}.adapter.up.weight"),
    }[mode]
    assert rates[own] == rates[weight] < rates[weight.replace("layer2.0", "layer2.1")] < rates["head.weight"]


# ---------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["mode=fine_tuning", "peft=lora"], "peft=lora goes with mode=lora and mode=gradual"),
        (["mode=lora", "lora.layers=[stage7]"], "lora.layers names 'stage7', which is no convolution"),
        (["mode=lora", "lora.rank=0"], "lora.rank must be"),
        (["mode=adapters", "adapters.width=half"], "adapters.width must be"),
        (["mode=adapters", "peft=null"], "trainable=adapters needs some"),
        (["peft=ia3"], "peft must be"),
    ],
)
def test_a_mistake_is_one_line_before_a_source_model_is_trained(overrides, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main([*RUN, *overrides]) == 2
    said_so = capsys.readouterr().err
    assert message in said_so
    assert "Traceback" not in said_so
    assert not Path("outputs/source").exists()


def test_without_peft_the_command_says_what_to_install(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(lora, "find_spec", lambda _: None)
    assert main([*RUN, "mode=lora"]) == 2
    assert "pip install 'headstart[peft]'" in capsys.readouterr().err
    assert not Path("outputs/source").exists()


@pytest.mark.parametrize("mode", MODES)
def test_a_checkpoint_with_them_is_no_source_as_its_adapters_would_be_lost(mode, runs, capsys):
    plain = [one for one in RUN if not one.startswith("weights.")]
    assert main([*plain, "weights=file", f"weights.path={runs[mode]}/checkpoints/best.ckpt"]) == 2
    assert "is of a model with LoRA or adapters (backbone.stages.stage1" in capsys.readouterr().err


# ---------------------------------------------------------------------- resumed, and on two devices


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
def test_a_killed_run_goes_on_to_the_weights_of_the_uninterrupted_one(mode, tmp_path):
    own = [*RUN, f"mode={mode}", "lora.dropout=0.3", "callbacks.checkpoint.min_interval_s=0"]
    own += ["+callbacks.stop._target_=resume_plugins.Stop", "trainer.limit_val_batches=3"]
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    for folder in (killed, whole):
        folder.mkdir()
    assert command(killed, *own, stop=("on_train_batch_start", 5)) == -9
    assert command(killed, *own, "resume=auto") == 0, said(killed)
    assert "going on from" in said(killed)
    assert command(whole, *own) == 0, said(whole)
    one, other = (weights(next(folder.glob("outputs/runs/*"))) for folder in (killed, whole))
    assert all(torch.equal(tensor, other[name]) for name, tensor in one.items())


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
def test_two_processes_keep_the_same_adapters_to_the_bit_and_the_sources_numbers(mode, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1] / "helpers"))
    fast = [one for one in RUN if not one.startswith("trainer.accelerator")]
    assert main([*fast, f"mode={mode}", "trainer=ddp_cpu"]) == 0  # the replica check looks after each epoch
    (folder,) = Path("outputs/runs").iterdir()
    assert result(folder)["processes"] == 2
    (source,) = Path("outputs/source").glob("*/checkpoints/best.ckpt")
    before, after = torch.load(source, weights_only=True)["state_dict"], weights(folder)
    own = {name.replace(".base_layer", ""): tensor for name, tensor in after.items()}
    assert all(torch.equal(own[name], before[name]) for name in before if name.startswith("backbone."))
    assert all(after[name].any() for name in after if is_adapters(name))
