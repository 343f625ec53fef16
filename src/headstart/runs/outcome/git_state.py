"""Commits of checkouts, and whether their tracked files were changed since."""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path


@cache
def git_state(folder: Path) -> str | None:
    """`git describe` of a folder's checkout: a short commit, with -dirty where tracked files were changed.

    Args:
        folder: A folder of the checkout.

    Returns:
        None where the folder lies in no checkout with a commit, or there is no git.
    """
    command = ["git", "-C", str(folder), "describe", "--always", "--dirty", "--exclude=*"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None
