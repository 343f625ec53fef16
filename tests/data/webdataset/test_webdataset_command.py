"""The commands on shards of a WebDataset."""

import json
from pathlib import Path

import pytest

from composed import TINY
from headstart.cli import main
from killed import command, said

pytest.importorskip("webdataset")


@pytest.fixture
def here(shards, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shards").symlink_to(shards)
    return tmp_path


RUN = [
    "data@target=webdataset", "target.urls=shards/part-{0..3}.tar", "target.val_urls=shards/part-4.tar",
    "target.test_urls=shards/part-5.tar", "target.batch_size=4", *TINY, "mode=scratch",
]  # fmt: skip


def test_the_command_line_trains_on_shards_and_the_tasks_after_it_look_at_them(here, capsys):
    assert main([*RUN, "trainer.max_epochs=1"]) == 0
    folder = next(Path("outputs").rglob("result.json")).parent
    result = json.loads((folder / "result.json").read_text())
    assert result["sizes"] == {"train": 24, "val": 6, "test": 4}
    assert result["steps"] == 6
    assert "feature cache: nothing is cached, WebDataset does not say" in capsys.readouterr().err
    assert main(["task=evaluate", f"evaluate.run_dir='{folder}'"]) == 0
    assert len(json.loads((folder / "evaluate-test.json").read_text())["class_names"]) == 3


def test_a_command_with_bad_shards_ends_with_one_line(here, capsys):
    assert main(["data@target=webdataset", "target.urls=shards/none-{0..2}.tar", *TINY, "mode=scratch"]) == 2
    said = capsys.readouterr().err
    assert "there is no shards/none-0.tar" in said
    assert "Traceback" not in said


RESUMED = [
    *RUN, "trainer.max_epochs=2", "target.num_workers=2", "target.streams=2", "callbacks.figures=null",
    "callbacks.checkpoint.every_steps=2",
    "callbacks.checkpoint.min_interval_s=0", "+callbacks.stop._target_=resume_plugins.Stop",
    "augment@target.augment=affine",
]  # fmt: skip


def outcome(place):
    (file,) = place.glob("outputs/*/*/result.json")
    result = json.loads(file.read_text())
    return result["weights_hash"], result["metrics"], (file.parent / "metrics.csv").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("devices", [[], ["trainer=ddp_cpu", "target.batch_size=2"]], ids=["one", "two"])
def test_a_killed_run_on_shards_goes_on_as_the_one_that_was_not(here, tmp_path, devices):
    results = []
    for name, stop in (("whole", None), ("killed", ("on_train_batch_end", 9))):
        place = tmp_path / name
        place.mkdir()
        (place / "shards").symlink_to(tmp_path / "shards")
        given = [*RESUMED, *devices]
        if stop:
            assert command(place, *given, stop=stop) == -9
            given.append("resume=auto")
        assert command(place, *given) == 0, said(place)
        results.append(outcome(place))
    assert results[0] == results[1]
