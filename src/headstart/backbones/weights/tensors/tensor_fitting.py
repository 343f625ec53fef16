"""Tensors of a file as a backbone takes them: as they are, else renamed and resampled as its library does it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from torch import Tensor

from headstart.backbones.stages import Backbone
from headstart.backbones.weights.tensors.hugging_face_names import in_names_of_timm, tower_prefix
from headstart.backbones.weights.tensors.tensor_matching import Matching, complete, matching
from headstart.backbones.weights.weight_libraries import weight_library
from headstart.types import UserError


@dataclass(frozen=True)
class Fitted:
    """What a backbone takes of a file.

    Args:
        state: The file's tensors, renamed and resampled where that was needed.
        match: Of these.
        tensors: All that the stages need, by their names in the backbone.
        changes: What was done to the tensors, in words; empty where nothing was.
    """

    state: Mapping[str, Tensor]
    match: Matching
    tensors: Mapping[str, Tensor]
    changes: str = ""


def fitted(state: Mapping[str, Tensor], backbone: Backbone, *, prefix: str | None, reset_from: int | None) -> Fitted:
    """The tensors of a file for a backbone.

    Args:
        state: Of the file.
        backbone: That takes them.
        prefix: Before the names in the file; None means it is found.
        reset_from: The first stages that need them; None means all.

    Raises:
        UserError: Something is missing or of another shape, whatever is tried.
    """
    match = None
    try:
        match = matching(state, backbone, prefix=prefix)
        return Fitted(state, match, complete(match, backbone, reset_from=reset_from))
    except UserError as plainly:
        for changed, changes in _changed(state, backbone, prefix, match):
            try:
                again = matching(changed, backbone, prefix="")
            except UserError:
                continue
            _check_no_bias_is_lost(again, changed, backbone)
            try:
                return Fitted(changed, again, complete(again, backbone, reset_from=reset_from), changes)
            except UserError:
                continue
        raise plainly from None


def _changed(
    state: Mapping[str, Tensor], backbone: Backbone, prefix: str | None, match: Matching | None
) -> Iterator[tuple[Mapping[str, Tensor], str]]:
    """The tensors under the names of the backbone's library, for images of its size, and what was changed."""
    if backbone.model is None:
        return
    library, model = backbone.model
    resampled = weight_library(library).resampled
    tower = tower_prefix(state, prefix) if library == "timm" else None
    if tower is not None:
        named, renaming = in_names_of_timm(state, tower), "renamed from Hugging Face's names"
        yield resampled(model, named, backbone.pixels), f"{renaming}, for {backbone.pixels.size} pixels"
    before = match.prefix if match is not None else prefix or ""
    behind = {name.removeprefix(before): tensor for name, tensor in state.items() if name.startswith(before)}
    changes = f"positions for {backbone.pixels.size} pixels and older names by {library}'s own functions"
    yield resampled(model, behind, backbone.pixels), changes


def _check_no_bias_is_lost(match: Matching, state: Mapping[str, Tensor], backbone: Backbone) -> None:
    """Raise UserError where queries of the file have biases, and the backbone is the variant without (DINOv3)."""
    biases = [name for name in match.left_over if name.endswith(".attn.q_bias")]
    if any(bool(state[name].any()) for name in biases) and backbone.model is not None:
        architecture = backbone.model[1].partition(".")[0]
        raise UserError(
            f"the file's queries have biases ({biases[0]}) and {architecture} has none; try "
            f"backbone.name={architecture}_qkvb"
        )
