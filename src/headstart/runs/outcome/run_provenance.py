"""What a result was made from, and on what: data, hardware, versions, the user's own code."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from headstart.runs.outcome.data_digest import data_digest
from headstart.runs.outcome.git_state import git_state
from headstart.runs.outcome.hardware import hardware
from headstart.runs.outcome.library_versions import versions
from headstart.types import SPLITS


def provenance(data: Any, device: torch.device, splits: Sequence[str] = SPLITS) -> dict[str, Any]:
    """The entries of result.json by which a run can be made again, and a difference be explained.

    Args:
        data: The run's data, set up.
        device: The one that has computed.
        splits: That it may look at; a trial looks at no test image, not even for a digest.

    Returns:
        data (digests of the splits), hardware, project_git (the state of the working folder's own checkout; None where
        it lies in none) and versions.
    """
    return {
        "data": data_digest(data, splits),
        "hardware": hardware(device),
        "project_git": git_state(Path.cwd()),
        "versions": versions(),
    }
