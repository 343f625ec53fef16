"""A command in a process of its own, killed at a named point."""

import json
import multiprocessing
import os
import resource
import sys
import time
from pathlib import Path

from resume_plugins import STOP

# a server that has imported everything forks the runs: two seconds less for each
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["headstart.tasks.fit", "headstart.cli.hydra_run", "resume_plugins", "killed"])


def command(folder, *arguments, stop=None, signal=None, after=None, seconds=120, env=None, limit=None):
    """The exit code of `headstart <arguments>` in a folder; with stop=(hook, step), -9, as it is killed there.

    With signal=(hook, step, number) the command gets that signal there instead, with after=(seconds, number) then,
    where it still runs. What it says is in <folder>/said.txt. env: variables that it has besides. limit: bytes that a
    file may have.
    """
    marker = Path(folder) / "marker"
    marker.unlink(missing_ok=True)
    place = {"hook": stop[0], "step": stop[1], "marker": str(marker)} if stop else {}
    if signal:
        place = {"hook": signal[0], "step": signal[1], "signal": int(signal[2])}
    process = FORKS.Process(target=_run, args=(str(folder), arguments, json.dumps(place), env or {}, limit))
    process.start()
    if after:
        process.join(after[0])
        if process.is_alive():
            os.kill(process.pid, after[1])
    deadline = time.monotonic() + seconds
    while process.is_alive() and not marker.exists():
        assert time.monotonic() < deadline, said(folder)
        process.join(0.02)
    if stop:
        assert process.is_alive(), f"it ended with {process.exitcode} before {stop}: {said(folder)}"
        process.kill()
    process.join()
    return process.exitcode


def said(folder):
    return (Path(folder) / "said.txt").read_text()


def _run(folder, arguments, place, env, limit):
    # as a command's own process has it; from the server, loader workers would not notice that the run was killed
    multiprocessing.set_start_method("fork", force=True)
    os.chdir(folder)
    os.environ[STOP] = place
    os.environ["HEADSTART_TEST_COMMAND"] = str(os.getpid())
    os.environ.update(env)
    if limit is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    file = os.open("said.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(file, 1)
    os.dup2(file, 2)
    from headstart.cli import main

    code = main(list(arguments))
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
