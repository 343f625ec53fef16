"""Disk, write access, network and launchers of the place where a command runs."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from filelock import FileLock
from hydra.core.global_hydra import GlobalHydra

from headstart.runs.checkup.finding import Finding
from headstart.runs.folder.run_naming import OUTPUTS
from headstart.runs.saved.config_signing import key_file

GIB = 2**30
LITTLE = 1  # GiB of a disk, below which runs may not end
COMMANDS = ("git", "torchrun", "sbatch", "srun", "scontrol", "nvidia-smi")
TIMEOUT_S = 3.0  # of one address


def disk() -> Finding:
    """Free space where runs land."""
    free = shutil.disk_usage(_existing(OUTPUTS)).free / GIB
    return Finding("disk", "ok" if free >= LITTLE else "failed", f"{free:.1f} GiB free where {_shown(OUTPUTS)} lies")


def write_access() -> Finding:
    """Whether the folders that a run writes into can be written, and locked as a run locks its folder."""
    places = {
        "runs": OUTPUTS,
        "the key of your runs": key_file().parent,
        "temporary files": Path(tempfile.gettempdir()),
    }
    reasons = {what: why for what, place in places.items() if (why := _unwritable(_existing(place)))}
    if reasons:
        told = "; ".join(f"{what} cannot be written to {_shown(places[what])}: {why}" for what, why in reasons.items())
        return Finding("writing", "failed" if "runs" in reasons or "temporary files" in reasons else "limited", told)
    if why := _no_locks(_existing(OUTPUTS)):
        return Finding(
            "writing", "limited", f"{_shown(OUTPUTS)} can be written, but its file system has no locks: {why}"
        )
    return Finding("writing", "ok", ", ".join(f"{_shown(place)} ({what})" for what, place in places.items()))


def network() -> Finding:
    """Whether the hosts of pretrained weights answer; runs on what lies on the disk need none."""
    from torchvision.models import get_weight

    addresses = [os.environ.get("HF_ENDPOINT", "https://huggingface.co"), get_weight("ResNet18_Weights.DEFAULT").url]
    told, is_whole = [], True
    for address in addresses:
        host, began = urlsplit(address).hostname or "no host", time.perf_counter()
        why = _unreachable(f"{urlsplit(address).scheme}://{host}/")
        is_whole &= not why
        told.append(f"{host} {f'cannot be reached ({why})' if why else f'in {time.perf_counter() - began:.1f} s'}")
    return Finding("network", "ok" if is_whole else "limited", "; ".join(told))


def launchers() -> list[Finding]:
    """The launchers and sweepers that Hydra finds, and commands that some of them need."""
    loader = GlobalHydra.instance().config_loader() if GlobalHydra.instance().is_initialized() else None
    groups = {kind: loader.get_group_options(f"hydra/{kind}") if loader else [] for kind in ("launcher", "sweeper")}
    there = [name for name in COMMANDS if shutil.which(name)]
    absent = [name for name in COMMANDS if name not in there]
    return [
        *(
            Finding(f"{kind}s", "ok", ", ".join(f"hydra/{kind}={name}" for name in found))
            for kind, found in groups.items()
        ),
        Finding("commands", "ok", f"{', '.join(there) or 'none'}; not found: {', '.join(absent) or 'none'}"),
    ]


def _existing(folder: Path) -> Path:
    """The folder, or the first above it that is there."""
    folder = folder.absolute()
    return next(place for place in (folder, *folder.parents) if place.exists())


def _shown(folder: Path) -> str:
    path = folder.absolute()
    return f"~/{path.relative_to(Path.home())}" if path.is_relative_to(Path.home()) else str(path)


def _unwritable(folder: Path) -> str:
    try:
        with tempfile.TemporaryFile(dir=folder) as stream:
            stream.write(b"headstart")
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _no_locks(folder: Path) -> str:
    with tempfile.TemporaryDirectory(dir=folder, prefix=".headstart-doctor-") as own:
        try:
            with FileLock(Path(own, "lock"), timeout=0):
                return ""
        except (OSError, NotImplementedError) as error:
            return str(error)


def _unreachable(address: str) -> str:
    """Why no answer comes, on one line; empty where any comes."""
    try:
        with urlopen(Request(address, method="HEAD"), timeout=TIMEOUT_S):
            return ""
    except HTTPError:  # it has answered
        return ""
    except (OSError, ValueError) as error:
        return " ".join(str(getattr(error, "reason", error)).split())
