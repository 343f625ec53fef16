"""The task `explain`: pictures of what the layers of a model learned."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pytorch_lightning as pl
import torch
from annotated_types import Ge
from omegaconf import DictConfig
from torch import Tensor

from headstart.backbones.batch_norm_statistics import norms_of
from headstart.callbacks.training.first_validation import features_of
from headstart.compat.hydra.hydra_instantiation import instantiate
from headstart.data.datasets.whole_dataset import ALL
from headstart.data.decoding.image_decoding import decoder_like
from headstart.data.decoding.pixel_conversion import channels_first
from headstart.evaluation.class_indices import class_indices, relabelled
from headstart.explain.explained_network import Network
from headstart.explain.explained_predictions import explained_predictions
from headstart.explain.image_choice import batches_of, images_of, names_of
from headstart.explain.picture_protocol import ExplainedImages, Picture, Subject
from headstart.explain.rendering.gallery_files import GalleryKind, write_gallery
from headstart.explain.rendering.gallery_page import GalleryAnswer
from headstart.explain.rendering.map_rendering import photo
from headstart.modules.module_protocols import has_several_labels, number_units
from headstart.runs.folder.run_naming import config_hash, safe
from headstart.runs.model_parts.assembly import Assembly, assembled, check_adapters, drawn, images_seed
from headstart.runs.quiet_logs import quieten
from headstart.runs.saved.finished_run import CheckpointName, SavedRun, saved_run
from headstart.runs.saved.other_data import check_no_target, other_data
from headstart.runs.training.missing_validation import check_split
from headstart.runs.training.run_trainer import lone_trainer
from headstart.runs.weights.control_weights import measure_statistics, measured_statistics
from headstart.runs.weights.source_model import waits_for_source
from headstart.runs.weights.starting_weights import weights_of
from headstart.runs.weights.weights_preprocessing import with_weights_preprocessing
from headstart.system import rank_environment
from headstart.system.credential_masking import masked
from headstart.system.files.setting_paths import given_path, made_folder
from headstart.tasks.predict import files_of
from headstart.types import Batch, UserError

log = logging.getLogger(__name__)
EXPLANATIONS = Path("outputs/explain")  # of models that are no finished run's
LISTED = 20  # classes on the page


@dataclass(frozen=True)
class _Model:
    """A model with all its numbers, and how to get the data and the network that training began with."""

    cfg: DictConfig  # that it was made by
    parts: Assembly
    class_names: tuple[str, ...]
    data: Callable[[], Any]  # set up; looked for when they are asked for: who explains files need not have them
    before: Callable[[], Network | None]
    of: str  # what it is, for a heading


def explain(
    *,
    cfg: DictConfig,
    run_dir: str | None,
    checkpoint: CheckpointName,
    images: str | None,
    count: Annotated[int, Ge(1)],
    split: Literal["train", "val", "test"] | None,
    data: DictConfig | None,
    batch_size: Annotated[int, Ge(1)],
    out_dir: str | None,
    tensorboard: bool,
) -> Path | None:
    """Draw each kind of `cfg.picture` of a model and some images -> the page that shows them, explain/gallery.html.

    The pictures lie beside it as <kind>/<name>.png and in TensorBoard's events. run_dir: a finished run; None: the
    weights that this command's mode starts from, with a head set in closed form on the training images where the source
    gives none. images: files; None: the first `count` of the split, in which classes take turns. split: None for test,
    and, of other data that a finished run looks at, for all images. A kind that does not
    apply to the network is left out with a word. Computed in float32 on one device; of the ranks of torchrun or SLURM
    the first does it, the others return nothing. Raises UserError where no kind applies, or the model or the images
    are not there.
    """
    quieten()
    if rank_environment.rank() > 0:
        return None
    chosen = cfg.get("picture") or {}  # none of them: Hydra leaves the group out
    kinds: dict[str, Picture] = {name: instantiate(node) for name, node in chosen.items() if node}
    if not kinds:
        raise UserError("picture must name one kind at least, got none; try picture=[default]")
    device = lone_trainer(cfg.trainer).strategy.root_device
    whole = split is None and run_dir is not None and data is not None
    within = ALL if whole else split or "test"
    if run_dir is None:
        model = _of_command(cfg, data, device)
    else:
        model = _of_run(saved_run(run_dir, checkpoint), data, whole)
        check_no_target("explain")
    subject = _subject(model, images, count, within, batch_size, device)
    folder = made_folder(_folder(cfg, run_dir, out_dir), "explain.out_dir")
    with subject.network.at_rest():
        return write_gallery(
            folder,
            (GalleryKind(name, kind.title, kind.about, kind.drawn(subject)) for name, kind in kinds.items()),
            of=model.of,
            facts=_facts(model, run_dir, images, "all" if whole else within, data),
            answered=[
                GalleryAnswer(photo(image), prediction)
                for image, prediction in zip(subject.images.pixels, explained_predictions(subject), strict=True)
            ],
            tensorboard=tensorboard,
        )


def _facts(
    model: _Model, run_dir: str | None, images: str | None, split: str, data: DictConfig | None
) -> list[tuple[str, str]]:
    """What was looked at, a word and what it is each."""
    names, pixels = model.class_names, model.parts.backbone.pixels
    node = model.cfg.target if data is None else data
    root = f", {node['root']}" if node.get("root") else ""
    listed = ", ".join(names[:LISTED]) + (", ..." if len(names) > LISTED else "")
    facts = [
        ("run", run_dir),
        ("backbone", f"{_backbone_name(model.cfg)}, stages {', '.join(model.parts.backbone.names)}"),
        ("mode", str(model.cfg.mode)),
        ("images", images or f"{split} of {str(node['_target_']).rpartition('.')[2]}{root}"),
        ("size", f"{pixels.size} x {pixels.size} pixels, {'grey' if pixels.channels == 1 else 'in colour'}"),
        ("classes", f"{len(names)}: {listed}"),
    ]
    return [(word, masked(fact)) for word, fact in facts if fact is not None]


def _of_run(run: SavedRun, data: DictConfig | None, whole: bool) -> _Model:
    own = run.cfg
    parts = assembled(own, run.known)
    parts.module.load_state_dict(run.state())
    make = partial(instantiate, pixels=parts.backbone.pixels, seed=images_seed(own))

    @cache
    def own_images() -> Any:
        own_data = drawn(own, make(own.target))
        own_data.setup("test")
        return own_data

    @cache
    def images() -> Any:
        if data is None:
            return own_images()
        looked = other_data(data, make=make, split=None, setting="explain.split").data if whole else make(data)
        looked.setup("test")
        return looked

    def before() -> Network | None:
        if own.reuse and waits_for_source(own):
            log.warning("the source model is no longer there: nothing is shown of the time before training")
            return None
        weights = weights_of(own)
        pl.seed_everything(own.seed, verbose=False)
        began = assembled(own, run.known, weights)
        if weights.control:
            with measured_statistics(began, own_images(), own.trainer):
                pass
        return Network(began.backbone, began.head, run.several)

    title = f"{run.folder.name}, {run.checkpoint.name}"
    return _Model(own, parts, run.class_names, images, before, title)


def _of_command(cfg: DictConfig, data: DictConfig | None, device: torch.device) -> _Model:
    cfg = with_weights_preprocessing(cfg)
    check_adapters(cfg)
    weights = weights_of(cfg)
    pl.seed_everything(cfg.seed, verbose=False)
    parts = assembled(cfg, data, weights)
    parts.module.to(device)
    parts.data.setup("test")
    if weights.control:
        measure_statistics(parts.backbone, norms_of(parts.backbone.stages), parts.data, cfg.trainer)
    names = tuple(parts.data.class_names)
    if parts.head.init == "source" and weights.backbone:
        parts.head.set_source(weights.head, weights.class_names, names)
    else:
        log.info("the head is set in closed form on the training images: no training has made one")
        train = parts.data.plain_dataloader("train")
        features = features_of(parts.module, train, lambda batch: batch, read=parts.head.summary)
        parts.head.set_class_means(*features)
    of = f"{_backbone_name(cfg)}, {'random weights' if weights.control or not cfg.reuse else 'source weights'}"
    return _Model(cfg, parts, names, lambda: parts.data, lambda: None, of)


def _backbone_name(cfg: DictConfig) -> str:
    return str(cfg.backbone.get("name") or str(cfg.backbone["_target_"]).rpartition(".")[2])


def _subject(
    model: _Model, images: str | None, count: int, split: str, batch_size: int, device: torch.device
) -> Subject:
    parts = model.parts
    if number_units(parts.module) is not None:
        raise UserError("task=explain shows what speaks for a class, and this model's targets are numbers")
    parts.module.to(device)
    network = Network(parts.backbone, parts.head, has_several_labels(parts.module))

    @cache
    def names() -> tuple[str, ...]:
        return names_of(model.data(), split)

    def searched() -> Iterator[Batch]:
        for batch in batches_of(model.data(), split, batch_size):
            yield batch._replace(label=_numbered(batch.label, model, network))

    @cache
    def before() -> Network | None:
        before_training = model.before()
        if before_training is not None:
            before_training.backbone.to(device).eval()
            before_training.head.to(device).eval()
        return before_training

    return Subject(
        network=network,
        images=_of_files(model, images, count) if images is not None else _of_split(model, network, split, count),
        class_names=model.class_names,
        batch_size=batch_size,
        searched=searched,
        searched_names=names,
        before=before,
    )


def _of_split(model: _Model, network: Network, split: str, count: int) -> ExplainedImages:
    data = model.data()
    check_split(data, split, f"explain.split={split}")
    images = images_of(data, split, count)
    label = None if images.label is None else _numbered(images.label, model, network)
    return ExplainedImages(images.pixels, images.names, label)


def _numbered(label: Tensor, model: _Model, network: Network) -> Tensor:
    """Labels of the data as the model numbers its classes. Raises UserError where it does not know one."""
    places = class_indices(
        model.data().class_names,
        model.class_names,
        lambda unknown: UserError(
            f"the model's classes are {', '.join(model.class_names)}, and explain.data has others: "
            f"{', '.join(unknown)}; explain.images=<folder> takes images of any class"
        ),
    )
    return relabelled(label, places, len(model.class_names), several=network.several)


def _of_files(model: _Model, images: str, count: int) -> ExplainedImages:
    """Files as the model's own images were read; the class is the folder's where that has a class's name."""
    files = files_of(images, setting="explain.images")[:count]
    target = model.cfg.target
    decode = decoder_like(target, model.parts.backbone.pixels, resize=target.get("resize"))
    pixels = channels_first(torch.from_numpy(np.stack([decode(Path(name)) for name in files])))
    classes = [Path(name).resolve().parent.name for name in files]
    known = all(name in model.class_names for name in classes)
    return ExplainedImages(
        pixels,
        tuple(files),
        torch.tensor([model.class_names.index(name) for name in classes]) if known else None,
    )


def _folder(cfg: DictConfig, run_dir: str | None, out_dir: str | None) -> Path:
    if out_dir is not None:
        return given_path(out_dir, "explain.out_dir")
    if run_dir is not None:
        return Path(run_dir).expanduser() / "explain"
    return EXPLANATIONS / f"{safe(_backbone_name(cfg).lower())}-{config_hash(cfg)}"
