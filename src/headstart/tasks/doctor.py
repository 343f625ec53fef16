"""The task `doctor`: what works on this machine, in lines for a bug report."""

from __future__ import annotations

from collections.abc import Iterator

from omegaconf import DictConfig

from headstart.runs.checkup.devices import compiles, found_devices, machine, precisions
from headstart.runs.checkup.disk_and_network import disk, launchers, network, write_access
from headstart.runs.checkup.finding import Finding
from headstart.runs.checkup.installed_packages import installed_packages
from headstart.runs.checkup.self_test import self_test
from headstart.runs.quiet_logs import quieten
from headstart.system import rank_environment
from headstart.system.printing.terminal_printing import tell
from headstart.types import UserError


def doctor(*, cfg: DictConfig, compile: bool, network: bool, self_test: bool) -> list[Finding]:  # noqa: A002
    """Print what headstart finds here, a line for each thing it looks at, and give these.

    The lines hold no password; of paths they say where they lie, those in the home folder from ~ on.

    Args:
        cfg: The command's config, whose target, backbone and trainer the self-test takes.
        compile: Whether torch.compile is tried, which takes seconds to minutes.
        network: Whether the hosts of pretrained weights are asked.
        self_test: Whether a run of some seconds is made.

    Raises:
        UserError: Something is missing without which runs cannot work.
    """
    quieten()
    if rank_environment.rank() > 0:
        return []
    found = []
    for finding in _findings(cfg, compiled=compile, asked=network, trained=self_test):
        tell(str(finding))
        found.append(finding)
    failed = [finding.name for finding in found if finding.state == "failed"]
    if failed == ["self-test"]:
        raise UserError(
            "a run of this command does not work: see the line that begins with NO (self-test); headstart task=doctor "
            "alone tries the data and the backbone that come with the package; if that fails too, paste all lines into "
            "a bug report"
        )
    if failed:
        raise UserError(
            f"runs cannot work here: see the lines that begin with NO ({', '.join(failed)}); for help, paste all lines "
            "into a bug report"
        )
    print("\nAll that a run needs works. Paste these lines into a bug report, with the command and its last lines.")
    return found


def _findings(cfg: DictConfig, *, compiled: bool, asked: bool, trained: bool) -> Iterator[Finding]:
    yield from installed_packages()
    yield machine()
    devices = found_devices()
    for device in devices:
        yield precisions(device)
    if compiled:
        yield compiles(devices[-1])
    yield disk()
    yield write_access()
    if asked:
        yield network()
    yield from launchers()
    if trained:
        yield self_test(cfg)
