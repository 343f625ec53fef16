"""Weights of a file for a backbone, and the record of what matched."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

from annotated_types import Ge
from omegaconf import DictConfig
from torch import Tensor

from headstart.backbones.bottleneck import NAME
from headstart.backbones.stages import Backbone
from headstart.backbones.weights.backbone_weights import Weights
from headstart.backbones.weights.download import cached_place, fetched
from headstart.backbones.weights.hugging_face_hub import from_hub
from headstart.backbones.weights.tensors.tensor_file import tensors_in
from headstart.backbones.weights.tensors.tensor_fitting import fitted
from headstart.backbones.weights.tensors.tensor_matching import Matching, linear_head
from headstart.backbones.weights.weights_address import OnHub, Url, address_of
from headstart.backbones.weights.weights_folder import file_in
from headstart.runs.folder.run_folder import finished
from headstart.runs.model_parts.backbone_template import template
from headstart.runs.saved.finished_run import changed_since
from headstart.system import rank_environment
from headstart.system.credential_masking import without_credentials
from headstart.system.files.file_identity import identity
from headstart.system.files.file_identity import sha256 as sha256_of
from headstart.types import UserError

log = logging.getLogger(__name__)
# what inject puts into a backbone (backbones/injected/lora.py, adapters.py)
PUT_IN = re.compile(r"\.lora_\w+\.|\.adapter\.(down|up)\.")
DIGEST = re.compile("[0-9a-f]{64}")
LISTED = 20  # names in result.json; of a file with a text model there are hundreds


def file_weights(
    *, cfg: DictConfig, path: str, sha256: str | None, prefix: str | None, reset_from: Annotated[int, Ge(0)] | None
) -> Weights:
    """The weights in a file for cfg.backbone, whose tensors may be called as in the original network.

    Also the head, where it is found, and of a checkpoint in the folder of a finished run its classes. A bottleneck that
    the file lacks stays fresh. path: of a file
    here, or where to download it from, as places.place_of says. sha256: of the file. reset_from: keep the first n
    stages, the rest stays fresh. Raises UserError where the file cannot be had, is another one, cannot be read, or
    lacks what those stages need.
    """
    file, about = weights_here(path, sha256)
    state = _tensors(file, identity(file)) if file.is_file() else tensors_in(file)
    return weights_in(state, template(cfg.backbone), file=file, prefix=prefix, reset_from=reset_from, about=about)


@lru_cache(maxsize=1)  # the jobs of a sweep begin with one file, and nobody changes what is in it
def _tensors(file: Path, _: tuple[int, ...]) -> Mapping[str, Tensor]:
    return tensors_in(file)


def weights_here(path: str, wanted: str | None) -> tuple[Path, dict[str, str]]:
    """The file on this machine, downloaded where it is not, and where it comes from.

    Args:
        path: Of the file, of a folder that holds one, or its address.
        wanted: The SHA-256 that the settings say.

    Raises:
        UserError: It cannot be had, or has another SHA-256.
    """
    if wanted is not None and not DIGEST.fullmatch(wanted.lower()):
        raise UserError(f"weights.sha256 must be the 64 hex digits that `sha256sum <file>` prints, got {wanted}")
    place = address_of(path)
    about = {"file": without_credentials(path)}
    if isinstance(place, Url):
        file = fetched(place.text, file=cached_place(place.text), sha256=wanted and wanted.lower())
        about["url"] = without_credentials(place.text)
    elif isinstance(place, OnHub):
        file, about["url"] = from_hub(place)
    else:
        file = file_in(place) if place.is_dir() else place
    if wanted is not None and file.is_file() and (digest := sha256_of(file)) != wanted.lower():
        again = "" if isinstance(place, Path) else "; take it away and it is downloaded again"
        raise UserError(f"{file} is not the file that weights.sha256={wanted} says: its SHA-256 is {digest}{again}")
    return file, about


def weights_in(
    state: Mapping[str, Tensor],
    backbone: Backbone,
    *,
    file: Path,
    prefix: str | None,
    reset_from: int | None,
    about: Mapping[str, Any],
) -> Weights:
    """What the tensors of a file give to a backbone, with a line in the log of what matched.

    about: where the file comes from, for result.json. Raises UserError, as file_weights says.
    """
    if put_in := [name for name in state if PUT_IN.search(name)]:  # without them it is not the model that was trained
        raise UserError(
            f"{file} is of a model with LoRA or adapters ({put_in[0]} and {len(put_in) - 1} more), which a backbone "
            "has no place for; its other weights are its source's: try the weights that it started from"
        )
    if reset_from is None and NAME in backbone.names and not any(f"stages.{NAME}." in name for name in state):
        reset_from = backbone.names.index(NAME)  # the file is of the stages before it, which stays fresh
    taken = fitted(state, backbone, prefix=prefix, reset_from=reset_from)
    match = taken.match
    head, class_names = _head(taken.state, match, backbone, file)
    digest = sha256_of(file)
    stages = backbone.names[:reset_from]
    unused = [name for name in match.left_over if name.removeprefix("head.") not in head]
    if rank_environment.rank() == 0:
        log.info("%s%s", _report(file, stages, match, unused), taken.changes and f"; {taken.changes}")
    facts = {
        "hash": digest[:8],
        **about,
        "sha256": digest,
        "prefix": match.prefix,
        "stages": list(stages),
        "matched": len(match.tensors),
        "missing": _listed(match.missing),
        "left_over": _listed(unused),
    }
    return Weights(backbone=taken.tensors, head=head, class_names=class_names, reset_from=reset_from, facts=facts)


def _head(
    state: Mapping[str, Tensor], match: Matching, backbone: Backbone, file: Path
) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """The head in a file and the names of its classes, empty where there is none or they are not known.

    They are known of a checkpoint in the folder of a finished run.
    """
    if match.prefix != "backbone.":
        return linear_head(state, match, backbone), ()
    result = finished(file.parent.parent)
    if result is not None and (damage := changed_since(file.parent.parent, result, file)):
        raise UserError(f"{file} is damaged: {damage}; put a whole copy in its place, or run it again with rerun=true")
    head = {name.removeprefix("head."): tensor for name, tensor in state.items() if name.startswith("head.")}
    return head, tuple((result or {}).get("class_names", ()))


def _report(file: Path, stages: Sequence[str], match: Matching, unused: Sequence[str]) -> str:
    shown = f" ({', '.join(unused[:4])}{', ...' if len(unused) > 4 else ''})" if unused else ""
    return (
        f"{file.name}: {len(match.tensors)} tensors fit, {len(match.missing)} missing, {len(unused)} left over{shown}; "
        f"it gives {', '.join(stages) or 'no stage'}"
    )


def _listed(names: Sequence[str]) -> dict[str, Any]:
    return {"count": len(names), "first": list(names[:LISTED])}
