"""Names of a model's parts and parameters: stages, head, layers, kinds, regular expressions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Protocol, runtime_checkable

from torch import nn

from headstart.system.printing.name_listing import first_few
from headstart.types import UserError
from headstart.unfreeze.parameter_kinds import of_kind
from headstart.unfreeze.reserved_names import ADAPTERS, ALL, KINDS, split

Stages = Sequence[str] | Mapping[str, str]


@runtime_checkable
class StagedModel(Protocol):
    """A module that names its parts itself."""

    @property
    def stages(self) -> Mapping[str, nn.Module]:
        """Name -> module, from the input to the head."""
        ...


@runtime_checkable
class ModelWithSideNetworks(Protocol):
    """A staged model with networks beside its stages, which learn together with one of its parts."""

    @property
    def beside(self) -> Sequence[tuple[str, nn.Module]]:
        """Part -> a network that is trainable when the part is."""
        ...


class ModelParts:
    """A model's parts, from the input to the head: the stages and, last, the head.

    Every parameter lies in exactly one part.

    Args:
        module: A LightningModule or any other module.
        stages: Attribute paths or regular expressions of parameter names, from the input to the head, as a list or a
            mapping from names; None takes them from the module (`StagedModel`, `ModelWithSideNetworks`).

    Raises:
        UserError: A stage has no parameter, two stages share one, or a parameter is in no stage.
    """

    def __init__(self, module: nn.Module, stages: Stages | None = None) -> None:
        of_module = module.stages if isinstance(module, StagedModel) and isinstance(module.stages, Mapping) else None
        if stages is None and of_module is None:
            children = ", ".join(name for name, child in module.named_children() if list(child.parameters()))
            raise UserError(
                f"{type(module).__name__} does not say which stages it has; name them from the input to the head, "
                f"as Unfreeze(..., stages=[...]); its children with parameters are {children}"
            )
        everything = [name for name, _ in module.named_parameters()]
        paths = {id(child): path for path, child in module.named_modules()}
        wanted = (
            {name: paths[id(child)] for name, child in (of_module or {}).items()}
            if stages is None
            else dict(stages)
            if isinstance(stages, Mapping)
            else {path: path for path in stages}
        )
        modules = set(paths.values())
        # part -> the parameter's name as a user writes it -> its name in the module
        self._names: dict[str, dict[str, str]] = {}
        # part -> the path of its module, None where a regular expression gathers it
        self.paths: dict[str, str | None] = {}
        for name, text in wanted.items():
            is_path = text in modules
            parameters = _below(text, everything) if is_path else _matching(text, everything, name)
            self._names[name] = {f"{name}{full[len(text) :]}" if is_path else full: full for full in parameters}
            self.paths[name] = text if is_path else None
            if not parameters:
                raise UserError(
                    f"stage {name} means no parameter of {type(module).__name__}; {_offer(text, everything, modules)}"
                )
        beside = module.beside if stages is None and isinstance(module, ModelWithSideNetworks) else ()
        for name, network in beside:
            self._names[name] |= {full: full for full in _below(paths[id(network)], everything)}
        self._check_partition(everything)
        self._kinds = of_kind(module)

    @property
    def names(self) -> tuple[str, ...]:
        """The parts' names, from the input to the head."""
        return tuple(self._names)

    @property
    def parameters(self) -> tuple[str, ...]:
        """The names of all parameters, as the module has them."""
        return tuple(full for names in self._names.values() for full in names.values())

    def of(self, part: str) -> tuple[str, ...]:
        """The names of a part's parameters, as the module has them."""
        return tuple(self._names[part].values())

    def part_of(self, parameter: str) -> str:
        """The part that a parameter, named as the module has it, lies in."""
        return next(part for part, names in self._names.items() if parameter in names.values())

    def selected(self, selectors: Iterable[str]) -> frozenset[str]:
        """The parameters that parts, layers or regular expressions select, as the module names them.

        A selector is `all`, a part, a layer below a part (`layer4.1`), `biases`, `norms` or `adapters` (of the stages,
        not of the head) or those of one part (`layer4:norms`), or a regular expression that is all of a parameter's
        name, from the part on (`layer4\\..*bn.*`) or from the module on.

        Args:
            selectors: One or several of these.

        Raises:
            UserError: A selector selects nothing; the message lists what there is.
        """
        return frozenset(full for selector in selectors for full in self._selected_by(selector))

    def _selected_by(self, selector: str) -> list[str]:
        every = [(shown, full) for names in self._names.values() for shown, full in names.items()]
        if selector == ALL:
            return [full for _, full in every]
        if selector in self._names:
            return list(self._names[selector].values())
        if selector in KINDS:
            return self._of_kind(selector, self.names[:-1])
        if (of_part := split(selector)) and of_part[0] in self._names:
            return self._of_kind(of_part[1], of_part[:1])
        below = [full for shown, full in every for name in (shown, full) if f"{name}.".startswith(f"{selector}.")]
        if below:
            return below
        pattern = _pattern(selector)
        matches = [full for shown, full in every if pattern and (pattern.fullmatch(shown) or pattern.fullmatch(full))]
        if not matches:
            layers = {shown.rpartition(".")[0] for shown, _ in every} - {""}
            raise UserError(
                f"the schedule names {selector!r}, which is no part, no layer and matches no parameter; the parts are "
                f"{', '.join(self.names)}{_closest(selector, [*self.names, *layers])}"
            )
        return matches

    def _of_kind(self, kind: str, parts: Sequence[str]) -> list[str]:
        if parameters := [full for part in parts for full in self.of(part) if full in self._kinds[kind]]:
            return parameters
        others = "lora or mode=adapters" if kind == ADAPTERS else "feature_extraction or mode=fine_tuning"
        raise UserError(f"the schedule trains {kind}, and there are none in {', '.join(parts)}; try mode={others}")

    def _check_partition(self, everything: list[str]) -> None:
        stage_of: dict[str, str] = {}
        for part, names in self._names.items():
            for full in names.values():
                if full in stage_of:
                    raise UserError(
                        f"stages {stage_of[full]} and {part} both mean {full}; each parameter needs one stage"
                    )
                stage_of[full] = part
        if missing := [full for full in everything if full not in stage_of]:
            raise UserError(
                f"each parameter needs a stage, these have none: {first_few(missing)}; add what they belong "
                "to to stages, the head last"
            )


def _below(path: str, names: list[str]) -> list[str]:
    return [name for name in names if not path or name.startswith(f"{path}.")]


def _matching(text: str, names: list[str], stage: str) -> list[str]:
    if text in names:  # a parameter of its own, such as a class token
        return [text]
    try:
        pattern = re.compile(text)
    except re.error as error:
        raise UserError(f"stage {stage}: {text!r} is neither an attribute nor a regular expression: {error}") from error
    return [name for name in names if pattern.fullmatch(name)]


def _pattern(text: str) -> re.Pattern[str] | None:
    try:
        return re.compile(text)
    except re.error:
        return None


def _offer(text: str, parameters: list[str], modules: set[str]) -> str:
    if near := get_close_matches(text, sorted(modules), n=1):
        return f"did you mean {near[0]}?"
    return f"its parameters are {', '.join(parameters[:3])}, ..."


def _closest(text: str, names: Sequence[str]) -> str:
    near = get_close_matches(text, sorted(set(names)), n=1)
    return f"; did you mean {near[0]}?" if near else ""
