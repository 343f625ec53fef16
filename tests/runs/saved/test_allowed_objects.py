"""Objects that another person's config may name."""

import ast
import re
from pathlib import Path

import pytest

import headstart
from composed import CONF
from headstart.runs.saved.allowed_objects import WRITTEN, is_allowed
from headstart.runs.saved.saved_config import saved_config
from headstart.types import UserError
from saved_config_cases import changed, written

pytestmark = pytest.mark.usefixtures("hydra_as_before")

SOURCE = Path(headstart.__file__).parent


def test_each_option_that_is_shipped_is_allowed_or_a_task_that_trains_nothing():
    named = {name for file in CONF.rglob("*.yaml") for name in re.findall(r"_target_: ([\w.]+)", file.read_text())}
    assert len(named) > 100
    others = {"describe", "embed", "evaluate", "explain", "export", "plan", "predict", "report", "feature_cache"}
    others |= {"choose", "compare", "doctor", "find_lr", "interpolate", "label_errors", "more_labels", "rank_sources"}
    others |= {"rank_check", "reproduce", "soup", "status"}
    tasks = {f"headstart.tasks.{task}.{task}" for task in others}
    sending = {f"pytorch_lightning.loggers.{name}Logger" for name in ("Comet", "MLFlow", "Wandb")}  # to an address
    assert {name for name in named if not is_allowed(name)} == tasks | sending


def test_an_object_is_known_by_its_own_module_and_name_and_by_no_other_path_to_it():
    assert is_allowed("torch.optim.AdamW")
    assert is_allowed("torch.optim.adamw.AdamW")
    assert is_allowed("pytorch_lightning.trainer.trainer.Trainer")
    assert not is_allowed(
        "headstart.runs.training.train_run.pl.Trainer"
    )  # the same object; to find out, anything would be imported
    assert not is_allowed("torch.optim.adamw.Optimizer")


def test_what_our_own_code_writes_into_configs_is_allowed():
    said = {
        name
        for file in SOURCE.rglob("*.py")
        for name in re.findall(r'"_target_": "([\w.]+)"', file.read_text(encoding="utf-8"))
    }
    assert len(said) > 5
    assert [name for name in said | set(WRITTEN) if not is_allowed(name)] == []


def test_a_module_that_a_config_names_is_not_imported_to_find_out_what_it_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "bomb.py").write_text("open('exploded', 'w').close()\ndef AdamW(): ...\n")
    file = written(tmp_path / "run", changed(("optimizer", "_target_"), "bomb.AdamW"))
    with pytest.raises(UserError):
        saved_config(file)
    assert not (tmp_path / "exploded").exists()


def test_every_reader_of_yaml_or_of_a_pickle_is_known():
    """A new one is to go through saved_config, or checkpoints.loaded, or to stand here with its reason."""
    readers = {"OmegaConf.load": set(), "yaml.load": set(), "yaml.safe_load": set(), "torch.load": set()}
    for file in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in readers:
                readers[ast.unparse(node.func)].add(file.relative_to(SOURCE).as_posix())
    assert readers["OmegaConf.load"] == {"runs/saved/saved_config.py"}
    assert readers["torch.load"] == {"system/files/checkpoint_reading.py", "backbones/weights/tensors/tensor_file.py"}
    # plain values that nothing instantiates: conf folders, reports, a file of phases
    assert readers["yaml.load"] | readers["yaml.safe_load"] == {
        "runs/saved/allowed_objects.py", "backbones/weights/preprocessing/file_preprocessing.py",
        "report/stored_runs/study_runs.py", "report/rendering/reproduction_command.py",
        "unfreeze/schedules/explicit_phases.py", "runs/status/planned_jobs.py",
    }  # fmt: skip
