"""The preprocessing of a run's images, as its weights say it."""

from __future__ import annotations

import logging
from copy import deepcopy
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict

from headstart.backbones.weights.preprocessing.file_preprocessing import (
    KnownPreprocessing,
    in_place_of_default,
    known_before,
    known_of,
    library_of,
    pixels_of,
)  # fmt: skip
from headstart.backbones.weights.preprocessing.preprocessing_values import is_same, shown
from headstart.backbones.weights.pretrained_weights import differences
from headstart.runs.weights.weights_from_file import weights_here
from headstart.system import rank_environment
from headstart.system.files.file_identity import sha256 as sha256_of
from headstart.types import Pixels

log = logging.getLogger(__name__)


def with_weights_preprocessing(cfg: DictConfig, *, fetch: bool = True) -> DictConfig:
    """The config with the backbone.preprocessing that the file of weights=file was made with; cfg itself otherwise.

    Every mode of a study makes the images alike, those that take no weights too. The log says which preprocessing is
    used and by what it is known. A value of backbone.preprocessing stays, with a warning where the file says another.

    Args:
        cfg: The config of a job.
        fetch: Whether to download a file that is not here; else only what is known without counts.

    Raises:
        UserError: There is no such file, model or preprocessing.
    """
    node = cfg.get("weights")
    backbone = _plain(cfg.get("backbone"))
    if not str((node or {}).get("_target_", "")).endswith(".file_weights") or library_of(backbone) is None:
        return cfg
    name, known = _known(node, fetch=fetch)
    if not name and known is None:  # it is told where the file is wanted
        return cfg
    chosen = backbone.get("preprocessing")
    preprocessing = None if known is None or chosen is not None else in_place_of_default(backbone, known)
    if rank_environment.rank() == 0 and rank_environment.launcher() != "headstart":
        _tell(cfg, backbone, name, known)
    if preprocessing is None:
        return cfg
    plain = deepcopy(cfg)
    with open_dict(plain):
        plain.backbone.preprocessing = preprocessing
    return plain


def as_target_resizes(cfg: DictConfig, pixels: Pixels) -> tuple[Pixels, str]:
    """The pixels with the resize of cfg.target where it has one, and words that say so, else empty.

    Args:
        cfg: The config of a job.
        pixels: Of the backbone.
    """
    resize = (cfg.get("target") or {}).get("resize")
    if resize is None:
        return pixels, ""
    return pixels._replace(resize=int(resize)), " (target.resize says the resize)"


def _known(node: DictConfig, *, fetch: bool) -> tuple[str, KnownPreprocessing | None]:
    """The file's name, empty where it is not here, and what is known of its preprocessing."""
    if not fetch:
        return "", known_before(node.path, node.get("sha256"))
    file, _ = weights_here(node.path, node.get("sha256"))
    if not file.is_file():
        return "", known_of(file.name, file=None, sha256=None)
    return file.name, known_of(file.name, file=file, sha256=sha256_of(file))


def _tell(cfg: DictConfig, backbone: dict[str, Any], name: str, known: KnownPreprocessing | None) -> None:
    """One line of which preprocessing is used, and why."""
    chosen = backbone.get("preprocessing")
    used = pixels_of(backbone, known.values if chosen is None and known is not None else chosen)
    used, by_target = as_target_resizes(cfg, used)
    phrase = f"preprocessing{name and f' of {name}'}: {shown(used)}{by_target}"
    if known is None and chosen is None:
        model = backbone["name"]
        log.warning(
            "%s, those of the default weights of %s's %s, since nothing says what the file was made with (its name and "
            "bytes have no hash of torchvision's, no config.json is beside it); where you know it: "
            "backbone.preprocessing=%s, or backbone.preprocessing={resize:256,interpolation:bilinear}",
            phrase, library_of(backbone), model, _other_names(backbone),
        )  # fmt: skip
        return
    made_for = used if known is None else pixels_of(backbone, known.values)
    if known is not None and not is_same(used, made_for):
        told = "; ".join(differences(used, made_for))
        log.warning("%s, as the command line says; those %s are others: %s", phrase, known.why, told)
    elif known is not None:
        log.info("%s, those %s", phrase, known.why)
    else:
        log.info("%s, as backbone.preprocessing says", phrase)


def _other_names(backbone: dict[str, Any]) -> str:
    """The names of the library's weights for a model."""
    if library_of(backbone) == "timm":
        from headstart.backbones.weights.preprocessing.timm_preprocessing import tags_of

        names = tags_of(str(backbone["name"]))
    else:
        from torchvision.models import get_model_weights

        names = [weights.name for weights in get_model_weights(str(backbone["name"]))]
    return " or ".join(names[:4]) or "<name of weights>"


def _plain(node: Any) -> dict[str, Any]:
    plain = OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else {}
    return {str(key): value for key, value in plain.items()} if isinstance(plain, dict) else {}
