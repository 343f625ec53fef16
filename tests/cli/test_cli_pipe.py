"""A command ends quietly where nobody reads its output."""

import os
import subprocess
import sys

import pytest

from headstart.cli.run_job import reader_is_gone

TASK = """
from pathlib import Path

def tell(*, cfg):
    print("x" * 1_000_000)  # more than a pipe holds
"""
CONF = "# @package _global_\ntask: tell\ntell: {_target_: telling.tell}\nhydra: {output_subdir: null, run: {dir: .}}\n"
FEW = "print('few')"  # lies in the buffer until the end


@pytest.mark.parametrize("few", [False, True])
def test_a_task_that_prints_to_a_reader_that_is_gone_says_nothing_on_stderr(few, tmp_path):
    (tmp_path / "telling.py").write_text(TASK.replace('print("x" * 1_000_000)', FEW) if few else TASK)
    (tmp_path / "conf" / "task").mkdir(parents=True)
    (tmp_path / "conf" / "task" / "tell.yaml").write_text(CONF)
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "headstart", "--config-dir", "conf", "task=tell"]
    done = subprocess.run(command, cwd=tmp_path, stdout=write, stderr=subprocess.PIPE, text=True)
    os.close(write)
    assert (done.returncode, done.stderr) == (141, "")  # 128 + SIGPIPE, as of other tools


def test_another_broken_pipe_is_an_error_as_any():
    assert not reader_is_gone(BrokenPipeError())
    assert not reader_is_gone(ValueError())
