"""What does the command `headstart` do?"""

from __future__ import annotations

import os
import sys
import traceback

from headstart.cli import collector
from headstart.types import UserError


def main(argv: list[str] | None = None) -> int:
    """The exit code of a command line: 0 done, 1 failed, 2 the user can mend it, 130 stopped by Ctrl-C.

    argv: without the program's name; None = the process's own. Errors are one line on stderr; `--trace` or
    HYDRA_FULL_ERROR=1 shows the trace as well.
    """
    given = list(sys.argv[1:] if argv is None else argv)
    trace = "--trace" in given or os.environ.get("HYDRA_FULL_ERROR") == "1"
    try:
        with collector.resting():
            code = _exit_code(given, trace)
            sys.stdout.flush()  # here, where a reader that is gone can still be told from an error
            return code
    except UserError as error:
        return _told(error, str(error), 2, trace)
    except KeyboardInterrupt:
        return _stopped()
    except SystemExit as stop:
        # Lightning turns Ctrl-C into exit(1) after it has closed its files
        return _stopped() if isinstance(stop.__context__, KeyboardInterrupt) else _code(stop)
    except BrokenPipeError:  # headstart --cfg job | head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the flush at exit complains
        return 141
    except Exception as error:
        from headstart.cli.failures import one_line

        return _told(error, one_line(error) + ("" if trace else "; for the full trace add --trace"), 1, trace)


def _exit_code(given: list[str], trace: bool) -> int:
    # what needs Hydra is imported where it is needed: --help must answer at once
    from headstart.cli.arguments import arguments

    found = arguments(given)
    if "--help" in found.flags:
        from headstart.cli.help import help_text

        print(help_text(found.flags.get("--config-dir")))
        return 0
    if "--version" in found.flags:
        import headstart

        print(f"headstart {headstart.__version__}")
        return 0
    from headstart.cli.resume import exit_code_of_resumed, folder_to_resume

    folder = folder_to_resume(found)
    if folder is not None:
        return exit_code_of_resumed(folder, trace)
    from headstart.cli.run import exit_code

    return exit_code(found, trace)


def _told(error: BaseException, message: str, code: int, trace: bool) -> int:
    if trace:
        traceback.print_exception(error)
    print(f"headstart: error: {message}", file=sys.stderr)
    return code


def _stopped() -> int:
    print("headstart: stopped by Ctrl-C", file=sys.stderr)
    return 130


def _code(stop: SystemExit) -> int:
    if stop.code is None or isinstance(stop.code, int):
        return stop.code or 0
    print(stop.code, file=sys.stderr)
    return 1
