"""Which parameters of a model does a name mean?"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches

from torch import nn

from headstart.system.name_listing import first_few
from headstart.types import UserError
from headstart.unfreeze.parameter_kinds import of_kind
from headstart.unfreeze.reserved_names import ADAPTERS, ALL, KINDS, split

Stages = Sequence[str] | Mapping[str, str]


class Parts:
    """A model's parts, from the input to the head: the stages and, last, the head.

    module: a LightningModule or any other. stages: attribute paths or regular expressions of parameter names,
    from the input to the head, under names of their own if it is a mapping; None = what the module's own
    `stages` (name -> module) says, with what stands `beside` them ((part, module), ...), if anything does. Every
    parameter lies in exactly one part. Raises UserError where a stage means nothing, two mean the same parameter,
    or a parameter is in none.
    """

    def __init__(self, module: nn.Module, stages: Stages | None = None) -> None:
        own: dict[str, nn.Module] | None = getattr(module, "stages", None)
        if stages is None and not isinstance(own, Mapping):
            children = ", ".join(name for name, child in module.named_children() if list(child.parameters()))
            raise UserError(
                f"{type(module).__name__} does not say which stages it has; name them from the input to the head, "
                f"as Unfreeze(..., stages=[...]); its children with parameters are {children}"
            )
        everything = [name for name, _ in module.named_parameters()]
        paths = {id(child): path for path, child in module.named_modules()}
        wanted = (
            {name: paths[id(child)] for name, child in (own or {}).items()}
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
            found = _below(text, everything) if is_path else _matching(text, everything, name)
            self._names[name] = {f"{name}{full[len(text) :]}" if is_path else full: full for full in found}
            self.paths[name] = text if is_path else None
            if not found:
                raise UserError(
                    f"stage {name} means no parameter of {type(module).__name__}; {_offer(text, everything, modules)}"
                )
        beside: Sequence[tuple[str, nn.Module]] = getattr(module, "beside", ()) if stages is None else ()
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
        """The parameters that parts, layers or regular expressions name, as the module has them.

        A selector is `all`, a part, a layer below a part (`layer4.1`), `biases`, `norms` or `adapters` (of the stages,
        not of the head) or those of one part (`layer4:norms`), or a regular expression that is all of a parameter's
        name, from the part on (`layer4\\..*bn.*`) or from the module on. Raises UserError where one means nothing, with
        what there is.
        """
        return frozenset(full for selector in selectors for full in self._one(selector))

    def _one(self, selector: str) -> list[str]:
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
        found = [full for shown, full in every if pattern and (pattern.fullmatch(shown) or pattern.fullmatch(full))]
        if not found:
            layers = {shown.rpartition(".")[0] for shown, _ in every} - {""}
            raise UserError(
                f"the schedule names {selector!r}, which is no part, no layer and matches no parameter; the parts are "
                f"{', '.join(self.names)}{_closest(selector, [*self.names, *layers])}"
            )
        return found

    def _of_kind(self, kind: str, parts: Sequence[str]) -> list[str]:
        if found := [full for part in parts for full in self.of(part) if full in self._kinds[kind]]:
            return found
        others = "lora or mode=adapters" if kind == ADAPTERS else "feature_extraction or mode=fine_tuning"
        raise UserError(f"the schedule opens {kind}, and there are none in {', '.join(parts)}; try mode={others}")

    def _check_partition(self, everything: list[str]) -> None:
        seen: dict[str, str] = {}
        for part, names in self._names.items():
            for full in names.values():
                if full in seen:
                    raise UserError(f"stages {seen[full]} and {part} both mean {full}; each parameter needs one stage")
                seen[full] = part
        if left := [full for full in everything if full not in seen]:
            raise UserError(
                f"each parameter needs a stage, these have none: {first_few(left)}; add what they belong to to stages, "
                "the head last"
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
