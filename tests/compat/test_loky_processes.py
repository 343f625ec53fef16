"""What headstart relies on in joblib's loky 3.6 (joblib 1.6)."""

import os
import signal

import pytest

from headstart.compat.loky_processes import LokyProcess, ProcessDied


def begin(parent):
    os.environ["BEGAN_BY"] = str(parent)


def seen(*names):
    return os.getpid(), [os.environ.get(name) for name in names]


def killed():
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_process_has_its_variables_its_initializer_and_one_pid_and_ends():
    process = LokyProcess({"OWN": "1"}, begin)
    (pid, values), (again, _) = (process.submit(seen, "OWN", "BEGAN_BY").result() for _ in range(2))
    assert values == ["1", str(os.getpid())]
    assert pid == again != os.getpid()
    process.end()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_call_whose_process_dies_raises_and_what_it_is_sent_needs_no_module():
    process = LokyProcess({}, begin)
    assert process.submit(lambda number: number + 1, 1).result() == 2
    with pytest.raises(ProcessDied):
        process.submit(killed).result()
    process.end()
