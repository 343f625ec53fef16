"""Check of the settings of named test sets."""

from __future__ import annotations

from typing import Any

from headstart.cli.checking.callable_parameters import signature
from headstart.cli.checking.config_keys import check_call, check_value
from headstart.types import UserError

SCHEMA = "headstart.runs.test_sets.named_test_settings.NamedTestSettings"
TRAINING = ("fit", "plan")  # tasks whose target is the run's own


def check_named_tests(values: dict[str, Any]) -> None:
    """Raise UserError for the first setting of a test set that nothing takes, or whose value does not fit.

    Settings without a `_target_` are those of the run's target; of a finished run, whose target is not known yet, the
    task looks at them itself.

    Args:
        values: The config, as dicts and lists.
    """
    tests = values.get("tests")
    schema = signature(SCHEMA)
    for name, node in (tests if isinstance(tests, dict) else {}).items():
        path = f"tests.{name}"
        if node is None:
            continue
        if not isinstance(node, dict):
            raise UserError(f"{path} must be a mapping of settings, got {node}; try {path}.root=<folder>")
        own = schema.parameters if schema else {}
        for key, value in node.items():
            if key in own:
                check_value(f"{path}.{key}", value, own[key].kind, "")
        rest = {key: value for key, value in node.items() if key not in own}
        target = values.get("target")
        if rest and "_target_" not in rest and values.get("task") in TRAINING and isinstance(target, dict):
            rest = {"_target_": target.get("_target_"), **rest}
        if "_target_" in rest:
            check_call(path, rest)
