"""The source data sets of a comparison: their settings by name, checked and read before anything is computed."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

import torch
from hydra.errors import InstantiationException
from omegaconf import DictConfig, OmegaConf

from headstart.compat.hydra.hydra_instantiation import instantiate
from headstart.data.data_protocols import is_multi_label, is_regression
from headstart.data.datasets.image_datamodule import ImageDataModule
from headstart.runs.candidates.source_data import composed_sources
from headstart.runs.folder.run_naming import safe
from headstart.runs.model_parts.assembly import images_seed
from headstart.runs.model_parts.backbone_template import template
from headstart.runs.relatedness.data_relations import ITSELF, Measure
from headstart.types import UserError

log = logging.getLogger(__name__)
NAME = re.compile(r"\w[\w.-]*")
FEWEST = 8  # training images of a data set: a half has 4
LONGEST = 60  # letters of a name in that of a picture


def source_nodes(
    cfg: DictConfig, sources: Mapping[str, Mapping[str, Any]] | None, candidates: Sequence[str] | None
) -> dict[str, DictConfig]:
    """The data node of each source, by its name or, of candidates, its text.

    Args:
        cfg: The composed config.
        sources: Name -> settings in the place of those of data@source; None for that source alone.
        candidates: Source data sets as overrides; None where `sources` says them.

    Raises:
        UserError: Both are given, a name or a setting is out of place, or a candidate cannot be composed.
    """
    if candidates is not None:
        if sources is not None:
            raise UserError("compare.sources and compare.candidates both say which sources are compared; give one")
        return composed_sources(candidates, setting="compare.candidates")
    nodes = {}
    for name, settings in (sources or {"source": {}}).items():
        if name == ITSELF or name == "target":
            raise UserError(f"compare.sources must not be called {name!r}, which the table has already")
        if not NAME.fullmatch(str(name)):
            raise UserError(
                f"names in compare.sources become names of files: letters, digits, _, - and . , got {name!r}"
            )
        if unknown := [key for key in settings or {} if key not in cfg.source]:
            raise UserError(
                f"compare.sources.{name} has settings of data@source, which has no {unknown[0]!r}; it has "
                f"{', '.join(map(str, cfg.source))}; for another data set: "
                f"'compare.candidates=[\"data@source=...\"]'"
            )
        changed = OmegaConf.merge(cfg, {"source": dict(settings or {})})  # a node keeps what it refers to
        nodes[name] = changed.source
    return nodes


def read_sources(nodes: Mapping[str, DictConfig], cfg: DictConfig) -> dict[str, Any]:
    """The data of each source, with the pixels that a model wants; all are made before the first one is read.

    Args:
        nodes: By name.
        cfg: The config of the model whose features are compared.

    Raises:
        UserError: Data cannot be made, read or trained on, or have too few training images.
    """
    found = {}
    with torch.random.fork_rng(devices=[]):
        pixels, seed = template(cfg.backbone).pixels, images_seed(cfg)
        for name, node in nodes.items():
            with _named(name):
                found[name] = instantiate(node, pixels=pixels, seed=seed)
                if isinstance(found[name], ImageDataModule):
                    found[name].check_trainable()
        for name, data in found.items():
            with _named(name):
                data.setup("fit")
                check_size(data, name)
    return found


def check_size(data: Any, name: str) -> None:
    """Raise UserError where data have too few training images for half-samples.

    Args:
        data: Set up.
        name: Of the data set.
    """
    if (count := data.sizes["train"]) < FEWEST:
        raise UserError(f"{FEWEST} training images of each data set are needed, {name} has {count}")


def usable_measures(measures: Sequence[Measure], by_name: Mapping[str, Any]) -> list[Measure]:
    """The measures without otdd where POT is not installed, or where an image has not one class.

    Args:
        measures: That are asked for.
        by_name: The data by the name of the data set.

    Raises:
        UserError: Nothing is left.
    """
    if "otdd" not in measures:
        return list(measures)
    without = next((name for name, data in by_name.items() if is_multi_label(data) or is_regression(data)), None)
    if find_spec("ot") is None:
        why, way_out = "needs POT", "pip install 'headstart[ot]'"
    elif without is not None:
        why, way_out = f"carries the labels of single classes, which {without} has none of", "try mmd or frechet"
    else:
        return list(measures)
    left: list[Measure] = [measure for measure in measures if measure != "otdd"]
    if not left:
        raise UserError(f"compare.measures=[otdd] {why}; {way_out}")
    log.warning("otdd is left out, as it %s: %s", why, way_out)
    return left


def picture_names(names: Iterable[str]) -> dict[str, str]:
    """Name -> what its picture of classes is called, no two alike.

    Args:
        names: Of the sources.
    """
    called: dict[str, str] = {}
    for name in names:
        plain = safe(name)[:LONGEST]
        called[name] = plain if plain not in called.values() else f"{plain}-{len(called) + 1}"
    return called


@contextmanager
def _named(name: str) -> Iterator[None]:
    """Errors of a source's data name the source."""
    try:
        yield
    except (UserError, InstantiationException, TypeError, ValueError) as error:
        raise UserError(f"source {name!r}: {error}") from error
