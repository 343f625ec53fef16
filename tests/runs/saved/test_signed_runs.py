"""A user's own runs: signed, copied to another machine, changed."""

import re
import shutil

import pytest

from composed import CONF
from headstart.cli import main
from headstart.runs.saved.config_signing import key_file, sign
from headstart.runs.saved.finished_run import run_config
from headstart.runs.saved.saved_config import CHANGED, saved_config
from headstart.runs.saved.saved_job import saved_job
from headstart.types import UserError
from saved_config_cases import changed, written

pytestmark = pytest.mark.usefixtures("hydra_as_before")


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """A project with parts of its own and a run of them."""
    folder = tmp_path_factory.mktemp("own")
    example = CONF.parent / "examples" / "own_parts"
    shutil.copytree(example, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__", "outputs"))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.syspath_prepend(folder)
        short = [
            "mode=scratch",
            "experiment=shapes",
            "trainer.max_epochs=1",
            "target.held_out=5",
            "trainer.accelerator=cpu",
        ]
        assert main(["--config-dir", "conf", *short]) == 0
    (run,) = (folder / "outputs" / "shapes").glob("*/result.json")
    return run.parent


@pytest.fixture
def copy(own, tmp_path, monkeypatch):
    monkeypatch.chdir(own.parents[2])
    monkeypatch.syspath_prepend(own.parents[2])
    return shutil.copytree(own, tmp_path / "copy")


def test_a_run_with_own_parts_is_read_without_a_question_wherever_it_was_copied_to(copy):
    assert main(["task=evaluate", f"evaluate.run_dir={copy}", "trainer.accelerator=cpu"]) == 0
    assert run_config(copy).backbone._target_ == "shapes.two_stages"
    assert saved_job(copy).target._target_ == "shapes.Shapes"


def test_what_was_changed_since_it_was_signed_is_another_person_s(copy, capsys):
    file = copy / ".hydra" / "config.yaml"
    file.write_text(file.read_text().replace("seed: 0", "seed: 1", 1))
    assert main(["task=evaluate", f"evaluate.run_dir={copy}"]) == 2
    assert re.search(rf"names 'shapes\.\w+' as \w+\._target_, .*and it {CHANGED}", capsys.readouterr().err)
    assert main(["--trust", "task=evaluate", f"evaluate.run_dir={copy}", "trainer.accelerator=cpu"]) == 0


def test_what_was_changed_since_it_was_signed_is_told_also_where_it_is_harmless(tmp_path, caplog):
    file = written(tmp_path / "run", changed(("seed",), 3))
    sign(file)
    file.write_text(file.read_text().replace("seed: 3", "seed: 4"))
    assert saved_config(file)["seed"] == 4
    (told,) = [record.getMessage() for record in caplog.records]
    assert told == f"{file} {CHANGED}; it is read as another person's"


def test_with_another_key_own_parts_need_trust_or_the_folder_that_names_them(copy, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "elsewhere"))
    command = ["task=evaluate", f"evaluate.run_dir={copy}", "trainer.accelerator=cpu"]
    assert main(command) == 2
    assert "shapes" in capsys.readouterr().err
    assert main(["--config-dir", "conf", *command]) == 0
    assert main([*command, "--trust"]) == 0
    monkeypatch.setenv("HEADSTART_TRUST", "1")  # what a shell exports is no flag
    assert main(command) == 2


def test_a_finished_run_is_gone_on_with_by_its_owner_with_no_further_word(copy):
    assert main([f"resume={copy}"]) == 0


def test_the_key_is_this_user_s_alone_and_is_copied_to_another_machine_as_a_file(tmp_path, monkeypatch):
    file = tmp_path / "config.yaml"
    file.write_text("head: {_target_: own.Head}\n")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "one"))
    sign(file)
    assert key_file() == tmp_path / "one" / "headstart" / "signing.key"
    assert key_file().stat().st_mode & 0o777 == 0o600
    assert [path.name for path in key_file().parent.iterdir()] == ["signing.key"]
    assert saved_config(file)
    assert key_file().read_text() not in file.with_suffix(".signature").read_text()
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "two"))
    with pytest.raises(UserError, match="not signed as your own"):
        saved_config(file)
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    assert saved_config(file)


def test_where_no_key_can_be_made_it_is_said_once_and_the_work_goes_on(tmp_path, monkeypatch, caplog):
    from headstart.runs.saved import config_signing

    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "file" / "below"))
    config_signing._tell.cache_clear()
    config = tmp_path / "config.yaml"
    config.write_text("head: {_target_: torch.optim.SGD}\n")
    config.with_suffix(".signature").write_text("of an earlier config")
    for _ in range(3):
        sign(config)
    (told,) = [record.getMessage() for record in caplog.records]
    assert "runs cannot be signed as your own" in told
    assert "XDG_CONFIG_HOME=" in told
    assert not config.with_suffix(".signature").exists()
    assert saved_config(config)
