"""The overrides that a candidate's text stands for, on top of a command."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import NamedTuple

from headstart.compat.hydra.hydra_job_composing import JobComposer, quoted
from headstart.runs.folder.run_folder import RESULT
from headstart.system.printing.name_listing import first_few
from headstart.types import UserError

LIBRARIES = ("timm", "torchvision")  # timm:<model>, torchvision:<model>
SOURCE = "source"  # source:<data set>
FILES = (".pth", ".pt", ".ckpt", ".safetensors", ".bin")
ADDRESS = re.compile(r"^(https?|hf|file)://")
# the groups that say what a source model is, and the node that each fills
GROUP = f"data@{SOURCE}"
GROUPS = {"backbone": "backbone", "weights": "weights", GROUP: SOURCE}
WORD = re.compile(r"""(?:[^\s'"\[\]{}]|'[^']*'|"[^"]*"|\[[^\]]*\]|\{[^}]*\})+""")
FORMS = (
    "a candidate is an option of backbone (resnet18), timm:<model>, torchvision:<model>, a file of weights, the folder "
    "of a finished run, source:<data set>, or overrides (backbone=small_cnn source.characters=letters)"
)
SOURCE_FORMS = (
    "a source data set is source:<data set>, or overrides of data@source and its settings "
    "(data@source=image_folder source.root=photos)"
)


class CandidateOverrides(NamedTuple):
    """What a candidate's text stands for.

    Attributes:
        overrides: On top of those of the command.
        run: The folder of a finished run whose backbone and weights are meant; None of other candidates.
    """

    overrides: list[str]
    run: Path | None = None


def candidate_overrides(text: str, composer: JobComposer) -> CandidateOverrides:
    """The overrides of a candidate, in one of the forms that FORMS lists; further overrides may stand behind each.

    Args:
        text: As the user wrote it.
        composer: Of the job, which knows the options of the groups.

    Raises:
        UserError: It is of none of the forms.
    """
    if not text.strip():
        raise UserError(f"got an empty candidate; {FORMS}")
    # a path may have spaces in it
    words = [text] if Path(text).expanduser().exists() else _words(text)
    first, rest = words[0], words[1:]
    kind, colon, name = first.partition(":")
    if colon and kind in (*LIBRARIES, SOURCE) and not first.startswith(f"{kind}://"):
        return CandidateOverrides([*_prefixed(kind, name, text, composer), *_overrides(rest, text)])
    if first in composer.options("backbone") and not (Path(first) / RESULT).is_file():
        return CandidateOverrides([f"backbone={first}", "weights=pretrained", *_overrides(rest, text)])
    if "=" in first and not Path(first).expanduser().exists():
        return CandidateOverrides(_overrides(words, text))
    return _of_path(first, _overrides(rest, text), text, composer)


def source_overrides(text: str, composer: JobComposer) -> list[str]:
    """The overrides of data@source that the text of a source data set stands for, in a form that SOURCE_FORMS lists.

    Args:
        text: As the user wrote it.
        composer: Of the job, which knows the options of the groups.

    Raises:
        UserError: It is of none of the forms, or overrides what is not the source's.
    """
    if not text.strip():
        raise UserError(f"got an empty candidate; {SOURCE_FORMS}")
    words = _words(text)
    kind, colon, name = words[0].partition(":")
    if colon and kind == SOURCE:
        if not name:
            raise UserError(f"candidate {text!r} names nothing behind {kind}:; {SOURCE_FORMS}")
        words[0] = _data_override(name, text, composer)
    own = _overrides(words, text, forms=SOURCE_FORMS)
    other = next((word for word in own if _key(word) != GROUP and not _key(word).startswith(f"{SOURCE}.")), None)
    if other is not None:
        raise UserError(
            f"candidate {text!r}: {other} is no setting of a source data set, and all sources are seen by the same "
            f"model; give it to the command; {SOURCE_FORMS}"
        )
    return own


def replaced(given: Sequence[str], own: Sequence[str], choices: Mapping[str, object]) -> list[str]:
    """The command's overrides and the candidate's: what the command says of a part that the candidate replaces is left.

    Where the candidate chooses another backbone, other weights or another source data set than the command has, the
    command's settings of that part (backbone.width=8) are of something else.

    Args:
        given: The command's overrides.
        own: The candidate's.
        choices: The option of each group that the command has.
    """
    own_choices = {_key(override): override.partition("=")[2] for override in own}
    dropped = [
        (group, node)
        for group, node in GROUPS.items()
        if group in own_choices and own_choices[group] != str(choices.get(group))
    ]

    def stays(override: str) -> bool:
        key = _key(override)
        return not any(key == group or key.startswith(f"{node}.") for group, node in dropped)

    chosen = [override for override in own if _key(override) in GROUPS]
    return [*filter(stays, given), *chosen, *(override for override in own if override not in chosen)]


def _prefixed(kind: str, name: str, text: str, composer: JobComposer) -> list[str]:
    if not name:
        raise UserError(f"candidate {text!r} names nothing behind {kind}:; {FORMS}")
    if kind in LIBRARIES:
        return [f"backbone={kind}", f"backbone.name={quoted(name)}", "weights=pretrained"]
    return [_data_override(name, text, composer), "weights=source"]


def _data_override(name: str, text: str, composer: JobComposer) -> str:
    """`data@source=<name>`. Raises UserError where there is no such data set."""
    if name not in (known := composer.options("data")):
        near = get_close_matches(name, known, n=1)
        hint = f"; did you mean {SOURCE}:{near[0]}?" if near else ""
        raise UserError(f"candidate {text!r}: data has no option {name}; it has {', '.join(known)}{hint}")
    return f"{GROUP}={name}"


def _of_path(first: str, rest: list[str], text: str, composer: JobComposer) -> CandidateOverrides:
    path = Path(first).expanduser()
    if (path / RESULT).is_file():
        best = path / "checkpoints" / "best.ckpt"
        return CandidateOverrides(["weights=file", f"weights.path={quoted(best.as_posix())}", *rest], path)
    if path.exists() or ADDRESS.match(first):
        return CandidateOverrides(["weights=file", f"weights.path={quoted(first)}", *rest])
    if first.endswith(FILES) or "/" in first:
        raise UserError(f"candidate {text!r}: there is no {path}; {FORMS}")
    known = composer.options("backbone")
    near = get_close_matches(first, known, n=1)
    hint = f"did you mean {near[0]}?" if near else f"the backbones are {first_few(known, 20)}"
    raise UserError(f"candidate {text!r} is not known: {hint}; {FORMS}")


def _words(text: str) -> list[str]:
    """The text at its spaces, but for those in quotes and brackets; quotes stay, as Hydra reads them."""
    words = WORD.findall(text)
    if "".join("".join(words).split()) != "".join(text.split()):
        raise UserError(f"candidate {text!r} cannot be read: a quote or a bracket is not closed")
    return words


def _overrides(words: Sequence[str], text: str, *, forms: str = FORMS) -> list[str]:
    if odd := next((word for word in words if "=" not in word), None):
        raise UserError(f"candidate {text!r}: {odd} is no override (key=value); {forms}")
    return list(words)


def _key(override: str) -> str:
    return override.lstrip("+~").partition("=")[0]
