"""Pretrained weights of timm."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from headstart.backbones.weights.download import fetched
from headstart.backbones.weights.hugging_face_hub import quiet_hub
from headstart.backbones.weights.preprocessing.preprocessing_values import SQUASHED
from headstart.backbones.weights.preprocessing.timm_preprocessing import library, timm_config, timm_pixels
from headstart.backbones.weights.pretrained_weights import Pretrained
from headstart.backbones.weights.tensors.tensor_file import tensors_in
from headstart.backbones.zoo.timm_models import built
from headstart.system import rank_environment
from headstart.types import Pixels, UserError

POSITIONS = "pos_embed"
OF_FLEXIVIT = {"interpolation": "bilinear", "antialias": False}  # as timm loads these
log = logging.getLogger(__name__)
FILES = ("model.safetensors", "pytorch_model.bin")  # what a repository of the hub has, the first one if it can be
BY_HAND = (".safetensors", ".bin", ".pth")  # of a file <architecture>.<tag> in torch's cache


def pretrained(model: str, name: str | None, pixels: Pixels) -> Pretrained:
    """The weights of a model of timm, as headstart.backbones.weights.weight_libraries.WeightLibrary says.

    name: the tag; None is the one in the model's name, or timm's default. timm's own code converts older names,
    interpolates positions and windows for the size, and adapts the first filters to the channels: sums of the
    colours for grey.
    """
    architecture, _, tag = model.partition(".")
    chosen_tag = tag or timm_config(architecture).tag or ""
    tag = name or chosen_tag
    tagged = f"{architecture}.{tag}" if tag else architecture
    config = timm_config(tagged)
    if not config.has_weights:
        raise UserError(f"timm has no weights for {tagged}; weights=file weights.path=... takes a file of them")
    if rank_environment.rank() == 0:
        log.info("%s: licence of the weights %s", tagged, config.license or "not known to timm; see their page")
    url, file = _file(tagged, config)
    net = _loaded(tagged, pixels, tensors_in(file))
    made_for = timm_pixels(tagged, size=None, channels=pixels.channels)
    advice = "" if tag == chosen_tag else f"backbone.name={tagged} takes all that these were evaluated with"
    but_for = SQUASHED if config.crop_mode == "squash" else ""
    return Pretrained(tag, url, file, net.state_dict(), made_for, advice, but_for)


def resampled(model: str, state: Mapping[str, Tensor], pixels: Pixels) -> dict[str, Tensor]:
    """The tensors of any file as timm's own code makes them fit: older names, other projects' names, another size.

    Position embeddings, tables of relative positions and patch embeddings are resampled. The tensors stay as they are
    where the model's family has no such code, or it does not know the file.

    Args:
        model: Of timm.
        state: Of the file.
        pixels: Of the backbone.
    """
    architecture = model.partition(".")[0]
    family: Any = import_module(library().models.model_entrypoint(architecture).__module__)
    converted = getattr(family, "checkpoint_filter_fn", None)
    with torch.device("meta"):  # only to see its shapes
        net = built(model, pixels)
    if converted is None:
        return with_positions(state, net)
    if architecture.startswith("flexivit"):
        converted = partial(converted, **OF_FLEXIVIT)
    try:
        return with_positions(converted(dict(state), net), net)
    except Exception:  # timm's code on the names of something else
        return dict(state)


def with_positions(state: Mapping[str, Tensor], net: nn.Module) -> dict[str, Tensor]:
    """The tensors, the position embedding of a square of patches resampled by timm's function for the network's square.

    For the families whose own loading leaves it as it is (Hiera, CaiT); what fits stays.

    Args:
        state: By timm's names.
        net: Of timm, on any device.
    """
    tensors = dict(state)
    had, wanted = tensors.get(POSITIONS), net.state_dict().get(POSITIONS)
    if had is None or wanted is None or had.shape == wanted.shape or not had.ndim == wanted.ndim == 3:
        return tensors
    sides = [math.isqrt(tensor.shape[1]) for tensor in (had, wanted)]
    if [side**2 for side in sides] != [had.shape[1], wanted.shape[1]] or had.shape[2] != wanted.shape[2]:
        return tensors  # tokens of a class among them, or another width: it will be told with both shapes
    side = sides[1]
    tensors[POSITIONS] = library().layers.resample_abs_pos_embed(had, new_size=[side, side], num_prefix_tokens=0)
    return tensors


def _loaded(tagged: str, pixels: Pixels, tensors: Mapping[str, Tensor]) -> nn.Module:
    """timm's model with the tensors, by its own loading; where that does not resample positions, they are before it."""
    try:
        return built(tagged, pixels, tensors=tensors)
    except UserError:
        with torch.device("meta"):
            net = built(tagged, pixels)
        fitting = with_positions(tensors, net)
        if fitting.get(POSITIONS) is tensors.get(POSITIONS):
            raise
        return built(tagged, pixels, tensors=fitting)


def _file(tagged: str, config: Any) -> tuple[str, Path]:
    """Where the weights come from, and their file here: put there by hand, or downloaded once.

    Raises UserError where they cannot be had.
    """
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    by_hand = [folder / f"{tagged}{suffix}" for suffix in BY_HAND]
    if existing := next((file for file in by_hand if file.is_file()), None):
        return existing.as_uri(), existing
    if not config.hf_hub_id:
        return config.url, fetched(config.url)
    library()  # which brings huggingface_hub
    import huggingface_hub as hub
    from huggingface_hub import errors, utils

    repository, _, revision = config.hf_hub_id.partition("@")
    url, download = "", hub.hf_hub_download  # now, as each import sets the level of its logger anew
    if rank_environment.rank() == 0:
        log.info("asking the hub for %s", repository)
    try:
        for filename in (config.hf_hub_filename,) if config.hf_hub_filename else FILES:
            url = hub.hf_hub_url(repository, filename, revision=revision or None)
            try:
                with quiet_hub(utils):
                    return url, Path(download(repository, filename, revision=revision or None))
            except errors.LocalEntryNotFoundError:  # no network
                raise
            except errors.EntryNotFoundError:
                continue
        raise FileNotFoundError(f"the repository has none of {', '.join(FILES)}")
    except (OSError, errors.HfHubHTTPError) as error:
        if isinstance(error, errors.GatedRepoError):
            raise UserError(
                f"{repository} is for those who have accepted its terms; do so on its page, then log in by "
                "`hf auth login`, or choose another backbone"
            ) from error
        reason = str(error.__cause__ or error).splitlines()[0]
        raise UserError(
            f"cannot download {url} ({reason}); without network put the file by hand to "
            f"{folder / tagged}{Path(url).suffix}, or take weights=file weights.path=<a file of such weights>"
        ) from error
