"""Signals that ask a command to stop, at once and while a step is under way."""

import os
import signal
import time

import pytest

from headstart.data.loading.worker_processes import loading
from headstart.system import stop_signals
from headstart.system.stop_signals import Interruption, handled


@pytest.fixture(autouse=True)
def as_in_a_terminal():
    """A shell's background job, and whatever nohup starts, ignores some of them."""
    numbers = (signal.SIGINT, signal.SIGHUP, signal.SIGTERM)
    before = [signal.signal(number, signal.SIG_DFL) for number in numbers]
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


def send(number):
    os.kill(os.getpid(), number)


def status_of(act):
    """How a child process ends that does this: (signal that ended it or 0, exit code)."""
    child = os.fork()
    if not child:
        code = 99
        try:
            code = act() or 0
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    return os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0, os.WEXITSTATUS(status)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_raises_with_the_exit_code_that_a_shell_gives_it(number, code):
    before = signal.getsignal(number)
    with pytest.raises(Interruption) as stop, handled():
        send(number)
    assert (stop.value.signal, stop.value.exit_code) == (number, code)
    assert signal.getsignal(number) == before
    assert not stop_signals.asked()


def test_held_back_it_waits_until_somebody_asks():
    with handled():
        stop_signals.hold_back()
        send(signal.SIGTERM)
        assert stop_signals.asked()
        with pytest.raises(Interruption):
            stop_signals.check()


def test_no_except_clause_for_errors_takes_it_for_one():
    assert not issubclass(Interruption, Exception)


def test_a_signal_that_is_ignored_as_under_nohup_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with handled():
            send(signal.SIGHUP)
            stop_signals.handle_again()
            send(signal.SIGHUP)
            assert not stop_signals.asked()
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_second_signal_ends_the_process_at_once():
    def act():
        with handled():
            stop_signals.hold_back()
            send(signal.SIGTERM)
            send(signal.SIGTERM)

    assert status_of(act) == (signal.SIGTERM, 0)


def test_a_second_signal_ends_it_too_where_a_library_has_put_the_handlers_back():
    def act():
        with handled():
            own = signal.getsignal(signal.SIGTERM)
            stop_signals.hold_back()
            send(signal.SIGTERM)
            signal.signal(signal.SIGTERM, own)
            send(signal.SIGTERM)

    assert status_of(act) == (signal.SIGTERM, 0)


def test_handlers_of_a_library_are_taken_back():
    before = signal.getsignal(signal.SIGTERM)
    with handled():
        own = signal.signal(signal.SIGTERM, lambda *_: None)
        stop_signals.handle_again()
        assert signal.getsignal(signal.SIGTERM) == own
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_copy_of_the_process_leaves_ctrl_c_to_it_and_ends_by_sigterm():
    with handled():
        assert status_of(lambda: send(signal.SIGINT)) == (0, 0)
        assert status_of(lambda: (send(signal.SIGTERM), time.sleep(5))[0]) == (signal.SIGTERM, 0)


def test_a_loader_s_worker_outlives_one_signal_to_all_processes_and_no_second():
    begin = loading(
        num_workers=1, cores=2, accelerated=False, pins=False, passes="one", batch_bytes=1, batches=1
    )["worker_init_fn"]  # fmt: skip

    def once():
        begin(0)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            send(number)

    def twice():
        begin(0)
        send(signal.SIGTERM)
        send(signal.SIGTERM)

    assert status_of(once) == (0, 0)
    assert status_of(twice) == (signal.SIGTERM, 0)


def test_slurm_s_signal_counts_in_its_jobs_alone(monkeypatch):
    before = signal.getsignal(signal.SIGUSR1)
    with handled():
        assert signal.getsignal(signal.SIGUSR1) == before
    monkeypatch.setenv("SLURM_JOB_ID", "12")
    with pytest.raises(Interruption) as stop, handled():
        send(signal.SIGUSR1)
    assert stop.value.exit_code == 128 + signal.SIGUSR1
    assert signal.getsignal(signal.SIGUSR1) == before
