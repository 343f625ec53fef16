"""A command line, whatever it is, is one line with exit code 2, or a config that can be planned and run."""

import contextlib
import io
import itertools
import os
import re
import resource
import signal
import sys
import tempfile
import traceback
import warnings
from functools import cache
from importlib import import_module

import pytest
from omegaconf import OmegaConf

from cached_composing import cached_composing
from fuzzed import SCALE, chances, parts
from headstart.cli import hydra_run, main
from headstart.cli.command_check import checked
from headstart.cli.config_composing import Composer
from headstart.system.printing.terminal_escaping import printable
from random_command_lines import random_command_line, settings

pytestmark = pytest.mark.faults

COUNT = 10_000
SECONDS = 20  # that checking one command line may take at most
SECONDS_OF_RUN = 120  # that a plan, or a run of one step, may take at most
MEMORY = 12 * 2**30  # bytes of addresses that it may use; torch maps some of them for nothing


@cache
def known():
    composer = Composer({})
    return settings(composer), {group: composer.options(group) for group in composer.groups()} | {
        key: composer.options(key.partition("@")[0])
        for key in composer.composed([]).choices
        if composer.is_group(key.partition("@")[0])
    }


def command_line(chance):
    return random_command_line(chance, *known())


@contextlib.contextmanager
def no_longer_than(seconds):
    def stop(*_):
        raise TimeoutError(f"more than {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def exit_code_of_check(found, _):
    """What `run.exit_code` does, but for running."""
    with hydra_run.working_folder_importable():
        if found.composes:
            checked(found)
    return 0


def fault_of(argv):
    """What is wrong with how a command line is checked; None where nothing is."""
    out, err = io.StringIO(), io.StringIO()
    try:
        with (
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
            warnings.catch_warnings(record=True) as warned,
            no_longer_than(SECONDS),
        ):
            warnings.simplefilter("always")
            code = main(argv)
    except TimeoutError as error:
        return str(error)
    *lines, rest = err.getvalue().split("\n")
    if warned:
        return f"warns: {[str(one.message) for one in warned]!r:.200}"
    if code == 0:
        return None
    if code != 2 or rest or len(lines) != 1 or not lines[0].startswith("headstart: error: ") or out.getvalue():
        return f"{code}, {out.getvalue()!r:.200}, {err.getvalue()!r:.300}"
    if not lines[0].isprintable():
        return f"what a terminal does not show: {lines[0]!r:.300}"
    if not any(is_named(name, lines[0]) for one in argv for name in names_of(one)):
        return f"names no key of the command line: {lines[0]!r:.300}"
    return None


def names_of(argument):
    """What a message can call an argument by: all of it, its key, or a name on the key's path."""
    key = argument.partition("=")[0].strip()
    path = re.split(r"[.@/\[\]]", key.lstrip("+~"))
    return [printable(name) for name in (argument, key, key.lstrip("+~"), *path) if name] or ["''"]


def is_named(name, line):
    """Whether a line has a name as a word of its own."""
    return re.search(rf"(?<!\w){re.escape(name)}(?!\w)", line) is not None


@pytest.mark.parametrize("numbers", parts(COUNT), ids=str)
def test_a_wrong_command_line_is_one_line_that_names_the_key(numbers, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(hydra_run, "exit_code", exit_code_of_check)
    faults = []
    with cached_composing():
        for number, chance in chances(numbers, "command line"):
            argv = command_line(chance)
            if fault := fault_of(argv):
                faults.append(f"{number}: {argv!r:.300}\n      {fault}")
    assert not faults, f"{len(faults)} of {len(numbers)}:\n" + "\n".join(faults)
    assert list(tmp_path.iterdir()) == []


def test_cached_composing_gives_what_composing_anew_gives():
    lines = [command_line(chance) for _, chance in chances(range(20), "composing")]

    def composed():
        composer = Composer({})
        found = []
        for line in lines:
            try:
                found.append(OmegaConf.to_yaml(composer.composed([one for one in line if not one.startswith("-")]).cfg))
            except Exception as error:
                found.append(f"{type(error).__name__}: {error}")
        return found

    anew = composed()
    with cached_composing():
        assert composed() == anew
        assert composed() == anew
    assert sum("_target_" in text for text in anew) > 3


ACCEPTED = 100
TINY = (  # a source, a target and a network of a second
    "backbone.width=4", "source.per_class=8", "source.val_per_class=3", "source.test_per_class=3",
    "weights.max_epochs=1", "weights.require_better=false", "callbacks.domains=null", "trainer.accelerator=cpu",
)  # fmt: skip
ONE_STEP = (
    "trainer.max_epochs=1",
    "++trainer.max_steps=1",
    "trainer.limit_val_batches=1",
    "trainer.limit_test_batches=1",
)
MANY = (
    "-m",
    "study",
    "task",
    "hydra.mode",
    "hydra.sweep",
    "hydra/",
    "debug",
    "experiment",
)  # more than one run, or none of ours


@cache
def accepted(count):
    """The first command lines that are one run and that the check accepts, with what makes them tiny."""
    found = []
    numbers = itertools.count()
    while len(found) < count:
        ((number, chance),) = chances([next(numbers)], "accepted")
        argv = command_line(chance)
        if any(re.match(rf"[+~]*({'|'.join(MANY)})", one) for one in argv) or not argv:
            continue
        given = {one.lstrip("+~").partition("=")[0] for one in argv}
        chosen = {key.partition("@")[2] or key for key in given}
        small = [one for one in TINY if one.partition(".")[0] not in chosen and one.partition("=")[0] not in given]
        step = [one for one in ONE_STEP if one.lstrip("+").partition("=")[0] not in given]
        whole = [*small, *argv, *step]
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            if main(whole) == 0:
                found.append((number, argv, whole))
    return found


def fault_of_run(argv):
    """What is wrong with how a command ends; None where it ends well, or with one line and exit code 2."""
    code, said = in_a_child(argv)
    errors = [line for line in said.splitlines() if line.startswith("headstart: error: ")]
    if code == 0 or (code == 2 and len(errors) == 1 and "Traceback" not in said):
        return None
    return f"{code}: {errors or said[-600:]}"


def in_a_child(argv):
    """The exit code of a command in a process of its own, and all that it says; -n where a signal n ended it."""
    with tempfile.TemporaryFile() as said:
        child = os.fork()
        if child == 0:
            try:
                os.dup2(said.fileno(), 1)
                os.dup2(said.fileno(), 2)
                sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", closefd=False)
                resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
                signal.alarm(SECONDS_OF_RUN)
                code = main(argv)
                sys.stdout.flush()
                sys.stderr.flush()
            except BaseException:
                traceback.print_exc()
                sys.stderr.flush()
                code = 99
            os._exit(code)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        said.seek(0)
        return code, said.read().decode(errors="replace")


@pytest.mark.parametrize("part", range(4))
def test_what_the_check_accepts_can_be_planned_and_makes_a_step(part, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for module in ("runs.training.train_run", "tasks.plan"):  # with torch and Lightning, before a child is made
        import_module(f"headstart.{module}")
    faults = []
    count = max(1, round(SCALE * ACCEPTED))
    with cached_composing():
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(hydra_run, "exit_code", exit_code_of_check)
            lines = accepted(count)
        for number, argv, whole in lines[part::4]:
            fault = fault_of_run([*whole, "task=plan"]) or fault_of_run(whole)
            if fault:
                faults.append(f"{number}: {argv!r:.300}\n      {fault}")
    assert not faults, f"{len(faults)} of {count}:\n" + "\n".join(faults)
