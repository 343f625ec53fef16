"""Configs resolved but for the values of environment variables, which no file of a run holds."""

from __future__ import annotations

import re
import threading
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.resolvers import oc

from headstart.compat.omegaconf_resolvers import register_resolver

PLAIN = re.compile(r"[\w./~-]+")  # a text that needs no quotes in an interpolation
_LOCK = threading.Lock()
_MISSING = object()


def resolved_without_variables(cfg: DictConfig) -> dict[str, Any]:
    """The config as plain values, each interpolation replaced by its value, but ${oc.env:...} left as it is.

    So a config that is made of it can be written down, and still means what it meant. What is missing stays ???.
    """
    with _LOCK:  # resolvers are those of the process
        register_resolver("oc.env", _variable)
        register_resolver("oc.decode", _decoded)
        try:
            plain = OmegaConf.to_container(cfg, resolve=True, throw_on_missing=False)
        finally:
            register_resolver("oc.env", oc.env)
            register_resolver("oc.decode", oc.decode)
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}


def _variable(name: str, default: Any = _MISSING) -> str:
    if default is _MISSING:
        return f"${{oc.env:{name}}}"
    if default is None or isinstance(default, bool):
        default_text = {None: "null", True: "true", False: "false"}[default]
    else:
        text = str(default)
        default_text = text if PLAIN.fullmatch(text) else "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
    return f"${{oc.env:{name},{default_text}}}"


def _decoded(expression: Any, *, _parent_: Any, _node_: Any) -> Any:
    if isinstance(expression, str) and "${oc.env:" in expression:
        return f"${{oc.decode:{expression}}}"
    return oc.decode(expression, _parent_=_parent_, _node_=_node_)
