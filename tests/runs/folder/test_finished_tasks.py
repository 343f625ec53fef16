"""Two commands at one task's folder, and a finished result whose inputs are other ones now."""

import json
import threading

import pytest
from filelock import FileLock

from composed import composed
from headstart.runs.folder.folder_mark import write_mark
from headstart.runs.folder.folder_ownership import TakenError, finished_or
from headstart.runs.folder.run_folder import write_json
from headstart.runs.folder.training_lock import LOCK


@pytest.fixture
def cfg(tmp_path, monkeypatch):
    """Of a task whose folder is mine/."""
    monkeypatch.chdir(tmp_path)
    return composed("task=compare", folder=tmp_path / "mine")


class Maker:
    """Writes a result, and counts how often."""

    def __init__(self, **content):
        self.content, self.made = content, 0
        self.begun, self.may_end = threading.Event(), threading.Event()

    def __call__(self, folder, hashes):
        self.begun.set()
        self.made += 1
        write_mark(folder, hashes.now, asked=hashes.now)
        self.may_end.wait(10)
        result = {"format": 2, "hash": hashes.now, "metrics": {"value": self.made}, **self.content}
        write_json(folder / "result.json", result)
        return result


def test_of_two_commands_at_once_one_makes_the_result_and_both_have_it(cfg):
    maker, found = Maker(), []
    threads = [threading.Thread(target=lambda: found.append(finished_or(cfg, maker, again="looks"))) for _ in range(2)]
    for thread in threads:
        thread.start()
    assert maker.begun.wait(10)
    maker.may_end.set()
    for thread in threads:
        thread.join(20)
    assert maker.made == 1
    assert [result["metrics"] for result in found] == [{"value": 1}] * 2


def test_a_folder_at_which_another_command_is_at_work_is_refused(cfg, tmp_path):
    write_mark(tmp_path / "mine", "0" * 8, asked="0" * 8)
    with FileLock(tmp_path / "mine" / LOCK), pytest.raises(TakenError, match="is being trained by process"):
        finished_or(cfg, Maker(), again="looks")


def test_a_result_of_a_run_that_was_trained_anew_is_made_anew(cfg, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    (run / "result.json").write_text(json.dumps({"metrics": {}, "weights_hash": "a"}))
    maker = Maker(run=run.as_posix(), run_weights="a")
    maker.may_end.set()
    assert [finished_or(cfg, maker, again="looks")["metrics"]["value"] for _ in range(2)] == [1, 1]
    (run / "result.json").write_text(json.dumps({"metrics": {}, "weights_hash": "b"}))
    maker.content["run_weights"] = "b"
    assert [finished_or(cfg, maker, again="looks")["metrics"]["value"] for _ in range(2)] == [2, 2]
    (run / "result.json").unlink()
    assert finished_or(cfg, maker, again="looks")["metrics"]["value"] == 2, "a run that was taken away proves nothing"


def test_a_result_that_is_not_of_what_is_there_now_is_made_anew(cfg):
    maker = Maker()
    maker.may_end.set()
    assert finished_or(cfg, maker, again="looks")["metrics"]["value"] == 1
    assert finished_or(cfg, maker, again="looks", is_of_now=lambda _: False)["metrics"]["value"] == 2
