"""Objects of the classes and functions that a config names, made by Hydra 1.3 and 1.4.

Relies on: Hydra 1.4 asks its callers for a list of targets that may be called, and warns where there is none;
`hydra.utils.UNSAFE_DISABLE_EXECUTION_CHECKS` stands for all. headstart has a list of its own: a config that is read
from a run's folder names nothing else (`runs/saved/saved_config.py`), and a command's config is the user's own.
"""

from __future__ import annotations

import re
from typing import Any

from hydra import utils
from hydra.errors import InstantiationException

_UNCHECKED = getattr(utils, "UNSAFE_DISABLE_EXECUTION_CHECKS", None)
_POLICY = {} if _UNCHECKED is None else {"_execution_whitelist_": _UNCHECKED}
_OF_HYDRA = ("_partial_", "_recursive_", "_convert_")
_FULL_KEY = re.compile(r"full_key: \S+")


def instantiate(config: Any, **arguments: Any) -> Any:
    """What a node of a config stands for.

    Args:
        config: A node with `_target_`, or a list or mapping of such nodes.
        arguments: Further arguments of the call, which go to it as they are and replace those of the node; and Hydra's
            `_recursive_` and `_convert_`, and `_partial_` for a function that makes the object.

    Raises:
        Exception: What the target raises, its key in the config as a note; an InstantiationException where there is no
            such target.
    """
    of_hydra = {key: arguments.pop(key) for key in _OF_HYDRA if key in arguments}
    try:
        if not arguments:
            return utils.instantiate(config, **of_hydra, **_POLICY)
        # OmegaConf would make configs of some objects: of named tuples from version 2.4 on, of dataclasses always
        unset = dict.fromkeys(arguments)  # so that what the node has in their place is not made
        make = utils.instantiate(config, **unset, **of_hydra | {"_partial_": True}, **_POLICY)
        return make(**arguments)
    except InstantiationException as error:
        failure = _of_target(error)
    raise failure  # here, as within `except` the two would be each other's cause and context


def _of_target(error: InstantiationException) -> BaseException:
    """What the target raised, which Hydra 1.3 wraps; the error itself where there is no such target."""
    cause: BaseException = error
    while isinstance(cause, InstantiationException) and cause.__cause__ is not None:
        cause = cause.__cause__
    if cause is not error and (key := _FULL_KEY.search(str(error))):
        cause.add_note(key[0])
    return cause


def forget_call(error: BaseException, key: str) -> None:
    """Take away the note of Hydra 1.4 that an error came from calling what stands at a key of the config."""
    if (note := f"full_key: {key}") in getattr(error, "__notes__", ()):
        error.__notes__.remove(note)
