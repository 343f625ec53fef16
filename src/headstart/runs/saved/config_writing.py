"""Configs as they are written into a run's folder: without credentials, signed as this user's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from headstart.runs.folder.run_naming import OF_THE_COMMAND
from headstart.runs.saved.config_signing import sign, signed, unsign
from headstart.system.credential_masking import without_credentials
from headstart.system.files.atomic_write import write_whole


def write_config(cfg: DictConfig, file: Path, *, like: Path | None = None) -> None:
    """Write the config of a run, its interpolations as they are.

    like: the file that it was read from, which says whether it is signed; None: this command has composed it.
    """
    write_whole(file, without_credentials(OmegaConf.to_yaml(cfg)))
    if like is None or signed(like, like.read_bytes()) == "own":
        sign(file)
    else:
        unsign(file)


def hide_credentials(file: Path) -> None:
    """Mask the credentials of addresses in a file, if it is there."""
    if not file.is_file():
        return
    text = file.read_text(encoding="utf-8")
    if (hidden := without_credentials(text)) != text:
        write_whole(file, hidden)


def unwritten(cfg: DictConfig) -> dict[str, Any]:
    """Dotted key -> value of what a job has otherwise than its file says: how it was started, and addresses."""
    plain = OmegaConf.to_container(cfg, resolve=False)
    assert isinstance(plain, dict)
    return {key: cfg[key] for key in OF_THE_COMMAND if key in cfg} | _with_credentials(plain, "")


def _with_credentials(node: Any, path: str) -> dict[str, Any]:
    if isinstance(node, dict):
        credentials: dict[str, Any] = {}
        for key, child in node.items():
            credentials |= _with_credentials(child, f"{path}.{key}" if path else str(key))
        return credentials
    texts = node if isinstance(node, list) else [node]
    return {path: node} if any(isinstance(text, str) and without_credentials(text) != text for text in texts) else {}
