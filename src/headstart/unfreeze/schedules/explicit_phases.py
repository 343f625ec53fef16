"""Which stages are open if a file of phases says so?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from headstart.types import UserError
from headstart.unfreeze.schedules.schedule_phases import Phase, phase_of


class Explicit:
    """Phases one after the other; what was open may close again.

    phases: each a `Phase` or a mapping with its fields. Raises UserError where one has a key or a value that a
    phase cannot have.
    """

    def __init__(self, *, phases: Sequence[Mapping[str, Any] | Phase]) -> None:
        self._phases = tuple(one if isinstance(one, Phase) else phase_of(one) for one in phases)

    @classmethod
    def from_file(cls, path: str | Path) -> Explicit:
        """The schedule of a YAML file with a list `phases`. Raises UserError where there is none."""
        try:
            content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
        except (OSError, yaml.YAMLError) as error:
            raise UserError(f"cannot read the phases in {path}: {error}") from error
        if not isinstance(content, Mapping) or not isinstance(content.get("phases"), list):
            raise UserError(f"{path} must hold a list `phases`, each with `open` and a length; got {content!r:.80}")
        return cls(phases=content["phases"])

    def phases(self, parts: Sequence[str]) -> tuple[Phase, ...]:  # noqa: ARG002  # the phases name what they open
        return self._phases
