"""A schedule whose phases are listed in a YAML file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from headstart.types import UserError
from headstart.unfreeze.schedules.schedule_phases import Phase, phase_of


class Explicit:
    """Phases one after the other. What is trainable in a phase may be frozen in the next one.

    Args:
        phases: Each a `Phase` or a mapping with its fields.

    Raises:
        UserError: A mapping has a key or a value that a phase cannot have.
    """

    def __init__(self, *, phases: Sequence[Mapping[str, Any] | Phase]) -> None:
        self._phases = tuple(phase if isinstance(phase, Phase) else phase_of(phase) for phase in phases)

    @classmethod
    def from_file(cls, path: str | Path) -> Explicit:
        """The schedule of a YAML file.

        Args:
            path: A file with a list `phases`.

        Raises:
            UserError: The file cannot be read, or has no such list.
        """
        try:
            content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
        except (OSError, yaml.YAMLError) as error:
            raise UserError(f"cannot read the phases in {path}: {error}") from error
        if not isinstance(content, Mapping) or not isinstance(content.get("phases"), list):
            raise UserError(
                f"{path} must hold a list `phases`, each with `trainable` and a length; got {content!r:.80}"
            )
        return cls(phases=content["phases"])

    def phases(self, parts: Sequence[str]) -> tuple[Phase, ...]:  # noqa: ARG002  # the phases name the parts
        return self._phases
