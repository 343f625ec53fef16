"""The file of weights in a folder, as a clone of a repository of the hub is one."""

from __future__ import annotations

from pathlib import Path

from headstart.backbones.weights.hugging_face_hub import BESIDES, KINDS
from headstart.system.printing.name_listing import first_few
from headstart.types import UserError


def file_in(folder: Path) -> Path:
    """The one file of weights in a folder, .safetensors before others.

    Args:
        folder: That holds it, and what says its preprocessing.

    Raises:
        UserError: There is none, or there are several.
    """
    names = sorted(path.name for path in folder.iterdir() if path.is_file() and path.name not in BESIDES)
    for suffixes in KINDS:
        weight_files = [name for name in names if name.endswith(suffixes)]
        if len(weight_files) == 1:
            return folder / weight_files[0]
        if weight_files:
            raise UserError(
                f"{folder} has {len(weight_files)} files of weights: {first_few(weight_files)}; choose one: "
                f"weights.path={folder / weight_files[0]}"
            )
    raise UserError(
        f"weights.path must be a file ({', '.join(suffix for suffixes in KINDS for suffix in suffixes)}) or a folder "
        f"with one; {folder} is a folder that has {first_few(names) or 'no files'}"
    )
