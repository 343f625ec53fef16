"""Tensors in a file of weights: state dicts, checkpoints, safetensors."""

from __future__ import annotations

import pickle
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from headstart.compat.pytorch.torch_module_versions import with_module_versions
from headstart.types import UserError

# what a checkpoint has beside its networks, some of it with tensors
BESIDES = re.compile(
    "optim|sched|scaler|hyper|callback|loop|loss|criterion|metric|rng|random|args|config|cfg|_extra_state",
    re.IGNORECASE,
)
TORCH = (b"PK", b"\x80")  # how a zip archive and a pickle begin


def tensors_in(path: Path) -> dict[str, Tensor]:
    """The name -> tensor of a state_dict, on the CPU, by itself or inside of a checkpoint.

    Where a checkpoint has several (student and teacher, a model and its average), the keys above each stand before
    its names. path: what torch.save wrote (.pth, .pt, Lightning's .ckpt), read without running code from it, or
    .safetensors.
    Raises UserError where there is no such file, it is of another kind, damaged, would run code, or holds no tensors.
    """
    if not path.is_file():
        problem = "is a folder" if path.is_dir() else "is not there"
        raise UserError(f"weights.path must be a file (.pth, .pt, .ckpt, .safetensors); {path} {problem}")
    with path.open("rb") as stream:
        begin = stream.read(20)
    if path.suffix == ".safetensors" or (begin[8:9] == b"{" and not begin.startswith(TORCH)):  # behind a length
        return _of_safetensors(path)
    if not begin.startswith(TORCH):
        raise UserError(f"{path} is no file that torch.save wrote, it begins with {begin!r}; was it downloaded whole?")
    if torn := torn_part(path):
        raise UserError(f"{path} is damaged: its part {torn} is not what was written; was it downloaded whole?")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        # not `from error`: its text advises to run what the file says
        raise UserError(
            f"{path} holds more than tensors and plain values, and reading that would run code from the file "
            f"({_wanted(path) or _reason(error)}); ask whoever made it to save its tensors alone, as .safetensors "
            "or by torch.save(model.state_dict(), 'weights.pth'); where you trust the file, do so yourself in Python: "
            "torch.serialization.safe_globals says which classes torch.load may make"
        ) from None
    except Exception as error:  # torch raises whatever its zip reader or a half pickle does
        raise UserError(f"cannot read {path}: {_of_another_kind(path) or _reason(error)}") from error
    return _state(content, path)


def torn_part(path: Path) -> str:
    """The part of a zip archive that its checksum does not fit, which torch does not look at; empty where none is."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() or ""
    except (zipfile.BadZipFile, OSError, EOFError, ValueError, NotImplementedError):
        return ""  # a pickle of before torch 1.6, or torch says what is wrong


def _of_safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except SafetensorError as error:
        raise UserError(f"cannot read {path}: {_reason(error)}; was it downloaded whole?") from error


def _state(content: Any, path: Path) -> dict[str, Tensor]:
    """The tensors of what was saved, from the level where they lie."""
    networks = _networks(content, "") if isinstance(content, Mapping) else {}
    if not networks:
        keys = f"the keys {', '.join(map(str, list(content)[:6]))}" if isinstance(content, Mapping) else _class(content)
        raise UserError(
            f"{path} must hold a state_dict, by itself or under keys such as 'state_dict' or 'model'; it has {keys}; "
            "save model.state_dict() with torch.save"
        )
    above = networks if len(networks) > 1 else {"": next(iter(networks.values()))}
    tensors = {
        f"{before}{name}": value
        for before, inside in above.items()
        for name, value in inside.items()
        if isinstance(value, Tensor)
    }
    return with_module_versions(tensors, of=above[""]) if len(networks) == 1 else tensors


def _networks(content: Mapping[Any, Any], above: str) -> dict[str, Mapping[Any, Any]]:
    """The keys above a state_dict, each with its dot -> what it holds; of nested ones those that lie deepest."""
    below: dict[str, Mapping[Any, Any]] = {}
    for key, value in content.items():
        if isinstance(value, Mapping) and not BESIDES.search(str(key)):
            below |= _networks(value, f"{above}{key}.")
    if below:
        return below
    return {above: content} if any(isinstance(value, Tensor) for value in content.values()) else {}


def _class(content: Any) -> str:
    return type(content).__name__


def _wanted(path: Path) -> str:
    """The classes and functions that a pickle asks for; empty where only running it would tell."""
    try:
        names = torch.serialization.get_unsafe_globals_in_checkpoint(str(path))
    except Exception:  # a file older than torch 1.6, which is no zip archive
        return ""
    return f"it asks for {', '.join(sorted(names))}" if names else ""


def _of_another_kind(path: Path) -> str:
    """What a zip archive is that torch.save did not write; empty where its names do not tell."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError):
        return "it is damaged; was it downloaded whole?"
    if any(name.endswith("constants.pkl") for name in names):
        return (
            "it is a TorchScript program, not weights; where you trust it, save its tensors alone: "
            "torch.save(torch.jit.load(path).state_dict(), 'weights.pth')"
        )
    if names and all(name.endswith(".npy") for name in names):
        return "it is an archive of numpy's (.npz), not of torch's; save its arrays as a state_dict of tensors"
    return ""


def _reason(error: Exception) -> str:
    """The one sentence of torch's text that says what it was."""
    text = str(error).partition("WeightsUnpickler error: ")[2] or str(error)
    line = next((line.strip() for line in text.splitlines() if line.strip()), type(error).__name__)
    return line.partition(". ")[0]
