"""A classifier learns from two domains what its method says: alone, on two processes, and after a kill."""

import json

import pytest
import torch
from torch.nn.functional import cross_entropy

import two_domains
from composed import TINY, composed, trained
from headstart.cli import main
from headstart.runs.model_parts.assembly import assembled
from headstart.unfreeze.part_names import ModelParts
from killed import command, said
from two_processes import run_both

DOMAINS = ["mode=scratch", "source.characters=digits", "target.shots=null", "trainer.limit_train_batches=6"]


def weights(folder, name="best.ckpt"):
    return torch.load(folder / "checkpoints" / name, weights_only=True)["state_dict"]


FEW = [pytest.param(method, marks=pytest.mark.slow) for method in ("coral", "shot", "adda", "self_training", "sum")]
FEW += [pytest.param(method, marks=pytest.mark.slow) for method in ("osbp", "tent")]


@pytest.mark.parametrize("method", ["dann", *FEW])
def test_two_processes_learn_what_one_does_from_the_same_global_batches_and_score_it_alike(tmp_path, method):
    run_both(two_domains.__file__, tmp_path, method, seconds=120)
    of_ranks = [torch.load(tmp_path / f"{method}-{rank}.pt", weights_only=True) for rank in range(2)]
    of_one = two_domains.fit(tmp_path, method, ranks=1)
    assert of_ranks[0]["scores"] == of_ranks[1]["scores"]
    assert len(of_one["scores"]) == 3
    for of_two, want in zip(of_ranks[0]["scores"], of_one["scores"], strict=True):
        weighed = () if method in ("shot", "adda", "tent") else ("iwcv", "dev")  # by training images of the source
        assert set(of_two) == {f"target/{name}" for name in ("entropy", "infomax", "snd", *weighed)}
        torch.testing.assert_close(of_two, want, rtol=1e-3, atol=1e-5)
    alone, ranks = of_one["weights"], [found["weights"] for found in of_ranks]
    began = two_domains.classifier(method).state_dict()
    learnt = [name for name in alone if name.endswith(("weight", "bias"))]
    assert any(name.startswith("adaptation.") for name in learnt) == (method in ("dann", "adda", "sum"))
    stays = ("head.", "adaptation.source_encoder.") if method in ("shot", "adda") else ()
    if method == "tent":  # all but BatchNorm
        stays = ("head.", "backbone.stages.stage1.1.", "backbone.stages.stage2.")
    for name in learnt:
        assert torch.equal(ranks[0][name], ranks[1][name]), name
        torch.testing.assert_close(ranks[0][name], alone[name], rtol=1e-4, atol=1e-6)
        assert torch.equal(alone[name], began[name]) == name.startswith(stays), name
    for name in [name for name in alone if "running" in name]:  # of all of the target's training images
        assert torch.equal(ranks[0][name], ranks[1][name]), name
        torch.testing.assert_close(ranks[0][name], alone[name])
    if method == "shot":  # of each of the 32 images, on both ranks, the label that one process gives
        assert all(torch.equal(rank["adaptation.pseudo_label"], alone["adaptation.pseudo_label"]) for rank in ranks)
        assert len(alone["adaptation.pseudo_label"].unique()) == 2


def test_source_only_is_training_on_the_source_and_looks_at_no_target_image(tmp_path):
    """The same weights to the bit, whatever images the target has, BatchNorm's statistics among them."""
    runs = []
    source = [override for override in DOMAINS if "target" not in override]
    targets = (["target.shots=null"], ["data@target=printed", "target.characters=digits", "target.per_class=72"])
    for number, target in enumerate(targets):
        overrides = ["adaptation=source_only", *source, *target, "trainer.max_epochs=1"]
        trained(*overrides, folder=tmp_path / str(number))
        runs.append(weights(tmp_path / str(number), "last.ckpt"))
    assert all(torch.equal(tensor, runs[1][name]) for name, tensor in runs[0].items() if "metrics" not in name)


def test_multi_task_adds_the_weighted_loss_of_the_sources_own_head():
    module = assembled(composed("mode=multi_task", "adaptation.weight=0.3", "source.per_class=8")).module.eval()
    data = assembled(composed("mode=multi_task", "source.per_class=8")).data
    batch = next(iter(data.train_dataloader()))
    own = {"global_step": 3, "world_size": 1, "accumulate_grad_batches": 1, "train_dataloader": None}
    module.trainer = type("Run", (), own)()
    module.adapted.steps = 10
    loss = module.training_step(batch, 0)
    head = module.adaptation.source_head
    assert head.out_features == 47  # letters, of which some look alike in both cases
    of_target = cross_entropy(module(batch.image), batch.label)
    of_source = cross_entropy(head(module.backbone(batch.paired.image)), batch.paired.label)
    torch.testing.assert_close(loss, of_target + 0.3 * of_source)


def test_multi_task_trains_the_backbone_on_both_and_validates_the_target(tmp_path):
    result = trained("mode=multi_task", "trainer.max_epochs=1", folder=tmp_path / "run")
    assert result["sizes"] == assembled(composed("mode=scratch")).data.sizes
    assert result["adaptation"] == {"class": "SourceTask", "option": "source_task", "main": "target"}, (
        "the report takes its val for the target's"
    )
    assert {"adaptation.source_head.weight", "adaptation.source_head.bias"} <= set(weights(tmp_path / "run"))


@pytest.mark.parametrize("method", ["source_only", "shot"])
def test_few_labelled_target_images_have_their_share_of_the_loss_on_labels(method):
    """Of an unlabelled run there is no other loss on labels."""
    source = ["mode=fine_tuning", "source.per_class=8", "target_labels=2", "target_labels_share=0.3"]
    parts = assembled(composed(f"adaptation={method}", *DOMAINS, *source))
    module, (batch, *_) = parts.module.eval(), parts.data.train_dataloader()
    assert len(batch.labelled.label) == 16
    few = cross_entropy(module(batch.labelled.image), batch.labelled.label)
    of_main = 0.0 if method == "shot" else cross_entropy(module(batch.image), batch.label)
    want = 0.7 * of_main + 0.3 * few
    torch.testing.assert_close(module._label_loss(batch, module(batch.image), None), want)


def test_few_labels_change_what_is_learnt_and_their_loss_is_logged(tmp_path):
    run = ["adaptation=source_only", *DOMAINS, "trainer.max_epochs=1", "logger=csv", "target_labels=2"]
    trained(*run, folder=tmp_path / "run")
    header, *rows = (tmp_path / "run" / "metrics.csv").read_text().splitlines()
    column = header.split(",").index("train/target_labels")
    assert [row.split(",")[column] for row in rows if row.split(",")[column]]


@pytest.mark.parametrize(
    "method",
    [
        "dann",
        "cdan_e",
        "dan",
        "jan",
        "coral",
        "afn",
        "mcc",
        "mdd",
        "mcd",
        "self_training",
        "deepjdot",
        "fixmatch",
        "sum",
    ],
)
def test_every_method_trains_and_its_networks_learn(method, tmp_path):
    result = trained(f"adaptation={method}", *DOMAINS, "trainer.max_epochs=1", "logger=csv", folder=tmp_path / "run")
    assert result["steps"] == 6
    assert result["adaptation"]["main"] == "source", "the report takes its val for the source's"
    began = assembled(composed(f"adaptation={method}", *DOMAINS)).module.adaptation
    state = weights(tmp_path / "run", "last.ckpt")
    assert all(tensor.isfinite().all() for tensor in state.values())
    own = {name: tensor for name, tensor in state.items() if name.startswith("adaptation.")}
    assert set(own) == {f"adaptation.{name}" for name in began.state_dict()}
    header, *rows = (tmp_path / "run" / "metrics.csv").read_text().splitlines()
    column = header.split(",").index("train/adaptation")
    assert [row.split(",")[column] for row in rows if row.split(",")[column]]


def test_what_stands_beside_the_head_learns_with_the_head_and_frozen_stages_do_not():
    parts = ModelParts(assembled(composed("adaptation=dann", *DOMAINS)).module)
    assert {name.partition(".")[0] for name in parts.of("head")} == {"head", "adaptation"}
    assert all(name.startswith("backbone.") for name in parts.of("stage4"))


# a second view of each image, labels and weights of all images, several terms
SUM = ["adaptation=sum", "adaptation@adaptation.terms.first=pada", "adaptation@adaptation.terms.second=fixmatch"]
OPEN = ["source.classes=[0,1,2]", "target.classes=[1,2,8,9]", "class_sets=open", "source.batch_size=4"]
RESUMED = {
    "cdan": ["adaptation=cdan"],
    "deepjdot": ["adaptation=deepjdot"],
    "osbp": ["adaptation=osbp", *OPEN],
    "sum": SUM,
}


@pytest.mark.slow
@pytest.mark.parametrize("method", list(RESUMED.values()), ids=list(RESUMED))
def test_a_killed_and_resumed_run_ends_as_the_uninterrupted_one(tmp_path, method):
    run = [
        *TINY, *DOMAINS, *method, "selection=infomax", "oracle=true", "trainer.max_epochs=3", "logger=csv",
        "callbacks.figures=null",
        "callbacks.checkpoint.min_interval_s=0", "callbacks.checkpoint.every_steps=2",
        "+callbacks.stop._target_=resume_plugins.Stop",
    ]  # fmt: skip
    states = []
    for name, stop in (("killed", ("on_train_batch_start", 9)), ("whole", None)):
        place = tmp_path / name
        place.mkdir()
        assert command(place, *run, stop=stop) == (-9 if stop else 0), said(place)
        if stop:
            assert command(place, *run, "resume=auto") == 0, said(place)
        (folder,) = [path.parent for path in place.glob("outputs/*/*/.hydra")]
        found = [json.loads((folder / "result.json").read_text())[key] for key in ("metrics", "best")]
        states.append((weights(folder, "last.ckpt"), (folder / "metrics.csv").read_text(), found))
    (killed, killed_csv, killed_found), (whole, whole_csv, whole_found) = states
    assert all(torch.equal(tensor, whole[name]) for name, tensor in killed.items())
    assert killed_csv == whole_csv
    assert killed_found == whole_found


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["target.shots=5"], "try target.shots=null"),
        (["source.characters=letters"], "needs the same classes"),
        (["trainer.max_epochs=-1", "scheduler=constant"], "adaptation.ramp=constant"),
        (["adaptation.weight=-1"], "adaptation.weight"),
        (["adaptation.ramp=quick"], "adaptation.ramp"),
        (["mode=fine_tuning", "weights=target"], "trains on the target's labels"),
        (["~adaptation", "target_labels=1"], "try adaptation=source_only"),
        (["mode=multi_task", "adaptation=source_task", "target_labels=1"], "target.shots says how many"),
        (["target_labels_share=1"], "target_labels_share"),
    ],
)
def test_what_cannot_be_adapted_is_one_message(tmp_path, monkeypatch, capsys, overrides, said):
    monkeypatch.chdir(tmp_path)
    assert main([*TINY, "adaptation=dann", *DOMAINS, *overrides]) != 0
    error = capsys.readouterr().err
    assert said in error
    assert "Traceback" not in error
