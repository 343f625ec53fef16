"""The exit code of a command line, and the line that a user reads where it fails."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress

from headstart.cli import collector_pause
from headstart.cli.error_messages import one_line, show_trace
from headstart.system import rank_environment, slurm_job, stop_signals
from headstart.system.credential_masking import mask_logs, masked
from headstart.system.stop_signals import Interruption
from headstart.system.trust_flags import permitted
from headstart.types import UserError


def main(argv: list[str] | None = None) -> int:
    """The exit code of a command line: 0 done, 1 failed, 2 the user can mend it, 128 + n stopped by signal n.

    argv: without the program's name; None = the process's own. Errors are one line on stderr; `--trace` or
    HYDRA_FULL_ERROR=1 shows the trace as well.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    mask_logs()
    trace = "--trace" in words or os.environ.get("HYDRA_FULL_ERROR") == "1"
    try:
        with stop_signals.handled(), collector_pause.resting(), permitted(words):
            code = _exit_code(words, trace)
            sys.stdout.flush()  # here, where a reader that is gone can still be told from an error
            return code
    except UserError as error:
        from headstart.system.printing.terminal_escaping import printable

        return _told(error, printable(str(error)), 2, trace)
    except Interruption as stop:
        return _stopped(stop)
    except KeyboardInterrupt:  # where this is not the main thread, or Ctrl-C was pressed again
        return _stopped(Interruption(signal.SIGINT))
    except SystemExit as stop:
        # Lightning turns KeyboardInterrupt into exit(1) after it has closed its files
        pressed = isinstance(stop.__context__, KeyboardInterrupt)
        return _stopped(Interruption(signal.SIGINT)) if pressed else _code(stop)
    except BrokenPipeError:  # headstart --cfg job | head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the flush at exit complains
        return 141
    except Exception as error:
        return _told(error, one_line(error) + ("" if trace else "; for the full trace add --trace"), 1, trace)


def _exit_code(words: list[str], trace: bool) -> int:
    # what needs Hydra is imported where it is needed: --help must answer at once
    from headstart.cli.command_arguments import arguments

    command_line = arguments(words)
    if "--help" in command_line.flags:
        from headstart.cli.command_help import help_text

        print(help_text(command_line.flags.get("--config-dir")))
        return 0
    if "--config-path" not in command_line.flags:
        from headstart.cli.checking.renamed_names import check_overrides

        check_overrides(command_line.overrides)
    if "--version" in command_line.flags:
        from headstart.system.headstart_version import VERSION

        print(f"headstart {VERSION}")
        return 0
    from headstart.cli.resume_command import exit_code_of_resumed, run_to_resume

    run = run_to_resume(command_line)
    if run is not None:
        return exit_code_of_resumed(run, command_line, trace)
    from headstart.cli.hydra_run import exit_code

    return exit_code(command_line, trace)


def _told(error: BaseException, message: str, code: int, trace: bool) -> int:
    if trace:
        show_trace(error)
    print(f"headstart: error: {masked(message)}", file=sys.stderr)
    return code


def _stopped(stop: Interruption) -> int:
    """Say it in a line, by the first rank alone, and let SLURM run the job again where that was its signal."""
    if rank_environment.rank() == 0:
        by = "Ctrl-C" if stop.signal == signal.SIGINT else stop.signal.name
        told = [f"stopped by {by}", *([slurm_job.requeue()] if by == stop_signals.REQUEUE else []), stop.advice]
        with suppress(OSError):  # the terminal was closed
            print(f"headstart: {'; '.join(filter(None, told))}", file=sys.stderr)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())  # or the flush at exit complains
    return stop.exit_code


def _code(stop: SystemExit) -> int:
    if stop.code is None or isinstance(stop.code, int):
        return stop.code or 0
    print(stop.code, file=sys.stderr)
    return 1
