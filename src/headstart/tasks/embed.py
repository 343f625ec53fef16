"""The task `embed`: features of images, written to files."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from annotated_types import Ge
from omegaconf import DictConfig
from torch import Tensor

from headstart.data.data_protocols import is_regression
from headstart.data.datasets.whole_dataset import ALL
from headstart.features.embedding_file import Embedding, Format, is_embedding, write
from headstart.features.pca import PrincipalComponents, directions
from headstart.features.tensorboard_projector import thumbnails, write_projector
from headstart.runs.folder.run_naming import config_hash, safe
from headstart.runs.probing.frozen_features import Frozen, Stored, frozen
from headstart.system import rank_environment
from headstart.system.credential_masking import masked_in
from headstart.system.files.setting_paths import given_path, made_folder
from headstart.types import SPLITS, UserError

log = logging.getLogger(__name__)
EMBEDDINGS = Path("outputs/embeddings")  # of models that are no finished run's


def embed(
    *,
    cfg: DictConfig,
    run_dir: str | None,
    data: DictConfig | None,
    splits: list[Literal["train", "val", "test"]] | None,
    stages: list[str] | None,
    pca: Annotated[int, Ge(1)] | None,
    format: Format,  # noqa: A002 - it is the word on the command line
    out_dir: str | None,
    projector: bool,
    projector_images: Annotated[int, Ge(1)],
) -> list[Path]:
    """Write the features of each split's images to <out_dir>/<split>.<format> -> these files.

    Only the first of several ranks computes.

    Args:
        cfg: The composed config.
        run_dir: A finished run, whose best weights and target count; None for those of this command.
        data: Data in the place of the target.
        splits: None for all three; with data and run_dir, for all images in one file, called all.
        stages: The stages after which features are taken; None for the last.
        pca: How many principal components of the training images replace the features; None for the features.
        format: Of the files.
        out_dir: None for <run_dir>/embeddings, without a run a folder below outputs/embeddings.
        projector: Whether they are written for TensorBoard's projector, too.
        projector_images: How many images of each split the projector gets.

    Raises:
        UserError: The run is not finished, there is no such stage, or pca is more than the features have.
    """
    if rank_environment.rank() > 0:
        return []
    whole = splits is None and run_dir is not None and data is not None
    _check(splits, stages, pca if whole else None)
    model = frozen(cfg, run_dir, data, whole=whole)
    names = {ALL: "all"} if whole else {split: split for split in splits or SPLITS}
    chosen = _chosen(stages, model.stages)
    stored = {s: model.features(s, chosen) for s in dict.fromkeys([*names, "train"] if pca else names)}
    principal = {} if pca is None else _directions(stored["train"], pca)
    folder = made_folder(_folder(cfg, model, run_dir, out_dir), "embed.out_dir")
    files = [folder / f"{name}.{format}" for name in names.values()]
    _check_replaceable(folder, files)
    for (split, name), file in zip(names.items(), files, strict=True):
        embedding = _embedding(model, name, stored[split], principal, data is not None)
        write(file, embedding)
        log.info("%s: %s", file, _shapes(embedding))
        if projector:
            _project(folder / "projector" / name, embedding, model, split, projector_images)
    if projector:
        log.info("tensorboard --logdir %s shows them in its projector", folder / "projector")
    return files


def _check(splits: Sequence[str] | None, stages: Sequence[str] | None, pca_of_whole: int | None) -> None:
    """Raise UserError where a list is empty, or principal components are wanted of data without a training split."""
    for key, names in (("splits", splits), ("stages", stages)):
        if names is not None and not names:
            raise UserError(f"embed.{key} must name one at least, got []")
    if pca_of_whole:
        raise UserError(
            "embed.pca takes its directions from training images, and embed.splits=null sets none of these data apart; "
            "try embed.splits=[train,test]"
        )


def _check_replaceable(folder: Path, files: Sequence[Path]) -> None:
    """Raise UserError where a file to write is there and no embedding."""
    if taken := [path.name for path in files if path.exists() and not is_embedding(path)]:
        raise UserError(
            f"{folder} holds {' and '.join(taken)} of something else, which would be lost; give another folder: "
            "embed.out_dir=<folder>"
        )


def _chosen(stages: list[str] | None, available: tuple[str, ...]) -> list[str]:
    """Each stage once, in the order of the backbone, those that it does not have at the end."""
    if stages is None:
        return [available[-1]]
    unique = dict.fromkeys(stages)
    return sorted(unique, key=lambda stage: available.index(stage) if stage in available else len(available))


def _directions(train: Stored, count: int) -> dict[str, PrincipalComponents]:
    principal = {}
    for stage, features in train.features.items():
        most = min(len(features) - 1, features.shape[1])
        if count > most:
            raise UserError(
                f"embed.pca must be 1 to {most} for stage {stage} (features of width {features.shape[1]} of "
                f"{len(features)} training images), got {count}"
            )
        principal[stage] = directions(features, count)
        log.info(
            "%s: %d directions have %.1f %% of the variance", stage, count, 100 * float(principal[stage].share.sum())
        )
    return principal


def _embedding(
    model: Frozen, split: str, stored: Stored, principal: Mapping[str, PrincipalComponents], is_other: bool
) -> Embedding:
    features = {
        stage: principal[stage].of(tensor) if stage in principal else tensor
        for stage, tensor in stored.features.items()
    }
    metadata: dict[str, Any] = {
        **masked_in(model.facts),
        "split": split,
        "data": "other" if is_other else "target",
        "stages": list(features),
        "pca": {stage: float(components.share.sum()) for stage, components in principal.items()} or None,
    }
    return Embedding(
        features, stored.label, tuple(stored.names), tuple(model.parts.data.class_names), metadata, principal
    )


def _called(label: Tensor, names: tuple[str, ...], *, numbers: bool) -> str:
    """The class of an image, its labels or its numbers."""
    if numbers:
        return "|".join(f"{number:g}" for number in label.tolist())
    if not label.ndim:
        return names[int(label)]
    return "|".join(names[at] for at in label.nonzero()[:, 0].tolist())


def _folder(cfg: DictConfig, model: Frozen, run_dir: str | None, out_dir: str | None) -> Path:
    if out_dir is not None:
        return given_path(out_dir, "embed.out_dir")
    if run_dir is not None:
        return Path(run_dir).expanduser() / "embeddings"
    name = f"{type(model.parts.data).__name__},{str(cfg.backbone['_target_']).rpartition('.')[2]}"
    return EMBEDDINGS / f"{safe(name.lower())}-{config_hash(cfg)}"


def _shapes(embedding: Embedding) -> str:
    return ", ".join(f"{stage} {' x '.join(map(str, t.shape))}" for stage, t in embedding.features.items())


def _project(folder: Path, embedding: Embedding, model: Frozen, split: str, most: int) -> None:
    """Show the first images of a split, in which the classes take turns."""
    count = min(most, len(embedding.names))
    data = model.parts.data
    images: list[Tensor] = [
        thumbnails(batch.image, data.pixels, count=count)
        for batch in data.plain_dataloader(split, positions=np.arange(count))
    ]
    write_projector(
        folder,
        {stage: tensor[:count] for stage, tensor in embedding.features.items()},
        classes=[
            _called(label, embedding.class_names, numbers=is_regression(data)) for label in embedding.label[:count]
        ],
        names=embedding.names[:count],
        thumbnails=torch.cat(images),
    )
