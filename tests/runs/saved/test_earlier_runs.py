"""Runs of the version before: the same hash, finished, read by the report and by tasks in the names of today."""

import json

import pytest
from omegaconf import OmegaConf

from headstart.api.result_records import results
from headstart.cli.config_composing import Composer
from headstart.report.stored_runs.study_runs import FinishedRun, run_in
from headstart.runs.folder.folder_ownership import finished_run
from headstart.runs.folder.run_folder import finished
from headstart.runs.folder.run_naming import Hashes, hashes, register
from headstart.runs.saved.finished_run import run_config

# overrides of today -> the hash that the version before (result.json in format 1) gave the same run
EARLIER_HASHES = {
    "": "eddec936",
    "mode=lora": "dcb8b725",
    "mode=AnB": "487dbde0",
    "mode=fine_tuning adaptation=dann selection=infomax oracle=true": "1ea45e68",
    "mode=gradual unfreeze=chain_thaw peft=lora": "78c9a1cf",
    "experiment=vtab1k": "e6b1ccf3",
    "feature_cache=off trainable=biases recipe=bit": "3e7772a1",
    "data@target=table target.table=x.csv mix@module.mix=mixup": "658c1847",
    "data@target=image_folder target.root=x augment@target.augment=trivial_augment mode=BnB weights=target": "db00e073",
    "data@target=torchvision target.name=CIFAR10 backbone=resnet18 weights=pretrained": "939401ef",
    "data@target=hugging_face target.path=x/y callbacks=ema regularizer=l2_sp": "9368a8a8",
    "data@target=webdataset target.urls=a.tar optimizer=sgd scheduler=plateau": "eead2f6d",
    "tuning=equal control=true": "34d6f84a",
    "unfreeze=lp_ft adaptation=shot callbacks=explain": "4497e6f8",
}  # fmt: skip
CONFIG = """
seed: 3
mode: gradual
reuse: true
open: schedule
inject: null
prolong: new_length
store: {_target_: headstart.features.store.Store, folder: outputs/store, max_gib: 16, dtype: float32, views: 0}
task: fit
fit: {_target_: headstart.tasks.fit.fit}
target: {_target_: headstart.data.digits.Digits, shots: 5, batch_size: 64}
weights: {_target_: headstart.tasks.source.source_weights, seed: 0}
callbacks:
  checkpoint: {_target_: headstart.callbacks.checkpoint.BestAndLast, folder: "${run_dir}/checkpoints", monitor: null}
"""
RESULT = {
    "format": 1, "study": "runs", "name": "gradual", "hash": "0123abcd", "overrides": ["mode=gradual", "inject=null"],
    "state": "finished", "mode": "gradual", "seed": 3, "control": False, "monitor": "val/accuracy",
    "selection": {"figure": "val/accuracy", "mode": "last"}, "metrics": {"val/accuracy": 0.75, "test/accuracy": 0.5},
    "test_per_class": {"a": 1.0, "b": 0.0}, "learns": {"parameters": 3, "of": 9}, "class_names": ["a", "b"],
    "phases": [{"phase": "head", "open": ["head"], "steps": 4, "store_s": 0.5}], "tuned": None, "steps": 4,
}  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    """The folder of a finished run, as the version before left it."""
    run = tmp_path / "gradual"
    (run / ".hydra").mkdir(parents=True)
    (run / ".hydra" / "config.yaml").write_text(CONFIG)
    (run / "result.json").write_text(json.dumps(RESULT))
    (run / "metrics.csv").write_text("epoch,step,val/accuracy\n0,0,0.25\n1,4,0.75\n")
    return run


@pytest.mark.parametrize(
    "texts",
    [
        ["", "feature_cache=off trainable=biases recipe=bit", "mode=gradual unfreeze=chain_thaw peft=lora"],
        pytest.param([*EARLIER_HASHES], marks=pytest.mark.slow),
    ],
)
def test_each_run_has_the_hash_that_it_had(texts):
    register()
    composer = Composer({})
    found = {text: hashes(composer.composed(text.split()).cfg).now for text in texts}
    assert found == {text: EARLIER_HASHES[text] for text in texts}


def test_it_counts_as_finished(folder):
    cfg = OmegaConf.create({"rerun": False})
    result = finished_run(cfg, folder, Hashes("0123abcd", "0123abcd"))
    assert result == finished(folder)
    assert (result["format"], result["trainable"]) == (2, {"parameters": 3, "of": 9})
    assert result["selection"] == {"metric": "val/accuracy", "mode": "last"}
    assert result["phases"] == [{"phase": "head", "trainable": ["head"], "steps": 4, "cache_s": 0.5}]


def test_the_report_reads_it(folder):
    run = run_in(folder)
    assert isinstance(run, FinishedRun)
    assert run.chosen_by.startswith("age")  # its newest checkpoint counts
    assert run.overrides == ("mode=gradual", "peft=null")
    assert run.result["test_recall_per_class"] == {"a": 1.0, "b": 0.0}
    (record,) = results(folder, frame=False)
    assert (record["mode"], record["seed"], record["test/accuracy"]) == ("gradual", 3, 0.5)


def test_tasks_read_its_config_in_the_names_of_today(folder):
    cfg = run_config(folder)
    assert (cfg.trainable, cfg.peft, cfg.extended_lr) == ("schedule", None, "new_length")
    assert cfg.feature_cache["_target_"] == "headstart.features.cache.activation_cache.FeatureCache"
    assert cfg.target["_target_"] == "headstart.data.datasets.digits.Digits"
    assert cfg.weights["_target_"] == "headstart.runs.weights.source_model.source_weights"
    assert cfg.callbacks.checkpoint["_target_"] == "headstart.callbacks.checkpoints.best_and_last.BestAndLast"
