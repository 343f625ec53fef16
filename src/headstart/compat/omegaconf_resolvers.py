"""Functions that interpolations of a config call, registered with OmegaConf 2.3 and 2.4.

Relies on: `register_resolver` of OmegaConf 2.4 takes the place of `register_new_resolver`, which it warns about; in
2.3 `register_resolver` is another, older function.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from omegaconf import OmegaConf

_IS_NEW = "replace" in inspect.signature(OmegaConf.register_resolver).parameters


def register_resolver(name: str, resolver: Callable[..., Any]) -> None:
    """Let `${name:...}` in configs of this process be what a function returns, in the place of an earlier one."""
    register: Callable[..., None] = OmegaConf.register_resolver if _IS_NEW else OmegaConf.register_new_resolver
    register(name, resolver, replace=True, **({"annotation_validation": "off"} if _IS_NEW else {}))
