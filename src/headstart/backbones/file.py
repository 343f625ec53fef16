"""Which tensors does a file of weights hold?"""

from __future__ import annotations

import hashlib
import pickle
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from headstart.types import UserError

NESTED = ("state_dict", "model_state_dict", "model")  # under which of its keys a checkpoint has the model
TORCH = (b"PK", b"\x80")  # how a zip archive and a pickle begin


def tensors_in(path: Path) -> dict[str, Tensor]:
    """The name -> tensor of a state_dict, on the CPU, by itself or inside of a checkpoint.

    path: what torch.save wrote (.pth, .pt, Lightning's .ckpt), read without running code from it, or .safetensors.
    Raises UserError where there is no such file, it is of another kind, damaged, would run code, or holds no tensors.
    """
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "is not there"
        raise UserError(f"weights.path must be a file (.pth, .pt, .ckpt, .safetensors); {path} {what}")
    if path.suffix == ".safetensors":
        return _of_safetensors(path)
    with path.open("rb") as stream:
        begin = stream.read(20)
    if not begin.startswith(TORCH):
        raise UserError(f"{path} is no file that torch.save wrote, it begins with {begin!r}; was it downloaded whole?")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise UserError(
            f"{path} holds more than tensors and plain values, and reading that would run code from the file "
            f"({_reason(error)}); where you trust it, save its tensors alone: "
            "torch.save(torch.load(path, weights_only=False)['state_dict'], 'weights.pth'), of a whole model "
            "torch.save(torch.load(path, weights_only=False).state_dict(), 'weights.pth')"
        ) from error
    except Exception as error:  # torch raises whatever its zip reader or a half pickle does
        raise UserError(f"cannot read {path}: {_reason(error)}; was it downloaded whole?") from error
    return _state(content, path)


def sha256(path: Path) -> str:
    """64 hex digits of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _of_safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except SafetensorError as error:
        raise UserError(f"cannot read {path}: {_reason(error)}; was it downloaded whole?") from error


def _state(content: Any, path: Path) -> dict[str, Tensor]:
    """The tensors of what was saved, from the level where they lie."""
    inside = content
    while isinstance(inside, Mapping):
        below = next((inside[key] for key in NESTED if isinstance(inside.get(key), Mapping)), None)
        if below is None:
            tensors = OrderedDict((str(key), value) for key, value in inside.items() if isinstance(value, Tensor))
            if tensors:
                # the versions of the modules that wrote them, by which these know older names
                vars(tensors)["_metadata"] = getattr(inside, "_metadata", None)
                return tensors
            break
        inside = below
    keys = f"the keys {', '.join(map(str, list(inside)[:6]))}" if isinstance(inside, Mapping) else type(inside).__name__
    raise UserError(
        f"{path} must hold a state_dict, by itself or as {', '.join(map(repr, NESTED))}; it has {keys}; "
        "save model.state_dict() with torch.save"
    )


def _reason(error: Exception) -> str:
    """The one sentence of torch's text that says what it was."""
    text = str(error).partition("WeightsUnpickler error: ")[2] or str(error)
    line = next((line.strip() for line in text.splitlines() if line.strip()), type(error).__name__)
    return line.partition(". ")[0]
