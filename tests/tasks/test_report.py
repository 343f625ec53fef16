"""`task=report` prints the verdict of a folder."""

import inspect
import json
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from headstart.compat.hydra.hydra_instantiation import instantiate
from headstart.report.report_files import write_report
from headstart.types import UserError

CONF = Path(__file__).parents[2] / "conf" / "task" / "report.yaml"


def write_two_runs(study: Path) -> None:
    for mode, levels in (("scratch", [0.1, 0.5, 0.6, 0.7, 0.7]), ("gradual", [0.6, 0.7, 0.8, 0.9, 0.9])):
        folder = study / f"mode={mode},seed=0-00000000"
        folder.mkdir(parents=True)
        rows = "".join(f"{2 * i},{50 * i},{level}\n" for i, level in enumerate(levels))
        (folder / "metrics.csv").write_text("step,examples,val/accuracy\n" + rows)
        result = {"format": 1, "mode": mode, "seed": 0, "overrides": [f"mode={mode}", "seed=0"]}
        (folder / "result.json").write_text(json.dumps(result))


def test_the_command_prints_the_verdict_and_the_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    write_two_runs(tmp_path / "study")
    cfg = OmegaConf.create({"report": OmegaConf.load(CONF).report})
    cfg.report.dir = str(tmp_path / "study")
    instantiate(cfg.report, cfg=cfg, _recursive_=False)
    said = capsys.readouterr().out
    assert "their levels at the end against scratch are gradual +0.200" in said
    assert said.strip().endswith(f"report: {tmp_path / 'study' / 'report.html'}")


def test_a_folder_without_runs_is_the_users_mistake(tmp_path: Path):
    cfg = OmegaConf.create({"report": OmegaConf.load(CONF).report})
    cfg.report.dir = str(tmp_path)
    with pytest.raises(UserError, match="expected finished runs"):
        instantiate(cfg.report, cfg=cfg, _recursive_=False)


def test_the_yaml_and_the_signature_have_the_same_defaults():
    conf = OmegaConf.load(CONF).report
    signature = inspect.signature(write_report).parameters
    keys = ("baseline", "metric", "figures")
    assert {key: conf[key] for key in keys} == {key: signature[key].default for key in keys}
