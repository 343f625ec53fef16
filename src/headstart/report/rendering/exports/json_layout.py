"""A record as JSON whose lists have a line for each item."""

from __future__ import annotations

import json
from typing import Any


def json_text(content: dict[str, Any]) -> str:
    """The content as JSON, each item of its lists on a line: an indent at every level takes ten times as long.

    Args:
        content: A record in plain values.
    """

    def compact(value: Any) -> str:
        return json.dumps(value, ensure_ascii=False, allow_nan=False)

    parts = []
    for key, value in content.items():
        if isinstance(value, list) and value:
            text = "[\n  " + ",\n  ".join(map(compact, value)) + "\n ]"
        else:
            text = compact(value)
        parts.append(f" {compact(key)}: {text}")
    return "{\n" + ",\n".join(parts) + "\n}\n"
