"""Lists of images by their labels: suspicious, ambiguous, to label next; as CSV files and pictures."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from omegaconf import DictConfig
from torch import Tensor

from headstart.backbones.denormalise import eight_bit
from headstart.data.decoding.image_decoding import decoder_like
from headstart.data.decoding.pixel_conversion import channels_first
from headstart.evaluation.label_quality import LabelQuality
from headstart.features.active_learning import next_to_label
from headstart.features.cache.activation_key import Place, activations
from headstart.features.cache.cached_activations import in_eval
from headstart.features.probing.out_of_fold import class_probabilities
from headstart.features.probing.probes import LabelledFeatures, ProbeData
from headstart.runs.probing.frozen_features import Frozen, fitting_device
from headstart.system.files.atomic_write import write_whole
from headstart.system.files.csv_cells import cell
from headstart.types import Batch


class JudgedImages(NamedTuple):
    """Images with labels, their features, and where they lie.

    Attributes:
        features: (N, D).
        labels: (N,).
        names: Of the images.
        places: Split and position of each.
        data: The data module.
        stage: Whose features they are.
    """

    features: Tensor
    labels: Tensor
    names: list[str]
    places: list[tuple[str, int]]
    data: Any
    stage: str


class UnlabelledFiles(NamedTuple):
    """Files of images without labels, and how many of them are to be labelled.

    Attributes:
        files: Their paths.
        most: How many are chosen, at most.
        batch_size: Of a forward pass.
    """

    files: Sequence[str]
    most: int
    batch_size: int


class Ranked(NamedTuple):
    """A list of images, the first first.

    Attributes:
        rows: A line of the CSV file each.
        titles: Above the image of each.
        images: Gives the first so many images, (channels, H, W) uint8 each.
    """

    rows: list[dict[str, Any]]
    titles: list[str]
    images: Callable[[int], list[Tensor]]


def suspicious_list(images: JudgedImages, probabilities: NDArray[np.float64], quality: LabelQuality) -> Ranked:
    """All images, the likeliest wrong label first.

    Args:
        images: With their labels.
        probabilities: (N, K), of models that did not learn from the image.
        quality: Of the labels.
    """
    order = np.argsort(quality.score, kind="stable")
    names, labels = images.data.class_names, images.labels.numpy()
    rows = [
        {
            "file": images.names[at],
            "split": images.places[at][0],
            "given": names[labels[at]],
            "suggested": names[quality.suggested[at]],
            "score": round(float(quality.score[at]), 6),
            "p(given)": round(float(probabilities[at, labels[at]]), 6),
            "p(suggested)": round(float(probabilities[at, quality.suggested[at]]), 6),
            "issue": bool(quality.is_issue[at]),
        }
        for at in order.tolist()
    ]
    titles = [f"{row['given']} -> {row['suggested']}? {row['score']:.2f}" for row in rows]
    return Ranked(rows, titles, lambda count: _images(images, order[:count]))


def ambiguous_list(images: JudgedImages, probabilities: NDArray[np.float64], quality: LabelQuality) -> Ranked:
    """Images between two classes, of which the label is one, the smallest margin first.

    Args:
        images: With their labels.
        probabilities: (N, K), of models that did not learn from the image.
        quality: Of the labels.
    """
    names, labels = images.data.class_names, images.labels.numpy()
    top = np.argsort(-probabilities, axis=1, kind="stable")[:, :2]
    between = (top == labels[:, None]).any(axis=1)
    order = np.array([at for at in np.argsort(quality.margin, kind="stable") if between[at]], dtype=np.int64)
    rows = [
        {
            "file": images.names[at],
            "split": images.places[at][0],
            "given": names[labels[at]],
            "first": names[top[at, 0]],
            "second": names[top[at, 1]],
            "p(first)": round(float(probabilities[at, top[at, 0]]), 6),
            "p(second)": round(float(probabilities[at, top[at, 1]]), 6),
            "margin": round(float(quality.margin[at]), 6),
        }
        for at in order.tolist()
    ]
    titles = [f"{row['first']} or {row['second']}" for row in rows]
    return Ranked(rows, titles, lambda count: _images(images, order[:count]))


def next_list(
    node: DictConfig, model: Frozen, images: JudgedImages, wanted: UnlabelledFiles, strength: float
) -> Ranked:
    """Unlabelled images to label next, in the order in which they were chosen.

    Args:
        node: The labelled data's config, which says how files become images.
        model: That makes the features.
        images: With labels.
        wanted: Without labels.
        strength: C of the logistic regression.
    """
    files, batch_size = wanted.files, wanted.batch_size
    decode = decoder_like(node, model.parts.backbone.pixels, resize=node.get("resize"))

    def read(some: Sequence[str]) -> Tensor:
        return channels_first(torch.from_numpy(np.stack([decode(Path(name)) for name in some])))

    place = Place(model.stages.index(images.stage) + 1, pooled=True)
    backbone, engine, parts = model.parts.backbone, model.engine, []
    with in_eval(backbone, place.after):
        for begin in range(0, len(files), batch_size):
            pixels = read(files[begin : begin + batch_size])
            batch = engine.convert(Batch(pixels, torch.zeros(len(pixels), dtype=torch.long)))
            with engine.context():
                parts.append(activations(backbone, batch.image.to(engine.device), [place])[place].float().cpu())
    features, device = torch.cat(parts), fitting_device(engine)
    learnt = LabelledFeatures(images.features.to(device), images.labels.to(device))
    classes = images.data.num_classes
    probabilities = class_probabilities(learnt, features.to(device), classes, [strength])[0]
    scale = ProbeData(learnt, learnt, classes).scale
    unlabelled, known = (scale.of(part).cpu() for part in (features.to(device), learnt.features))
    chosen = next_to_label(probabilities, unlabelled, known, min(wanted.most, len(files)))
    names = images.data.class_names
    rows = [_next_row(str(files[at]), probabilities[at], names) for at in chosen]
    titles = [f"{row['first']} {row['p(first)']:.2f} {row['second']} {row['p(second)']:.2f}" for row in rows]
    return Ranked(rows, titles, lambda shown: list(read([str(files[at]) for at in chosen[:shown]])))


def _next_row(file: str, probability: Tensor, names: Sequence[str]) -> dict[str, Any]:
    (first, second), (one, other) = (part.tolist() for part in probability.topk(2))
    entropy = float(-(probability * probability.clamp(min=1e-300).log()).sum())
    return {
        "file": file, "first": names[one], "second": names[other], "p(first)": round(first, 6),
        "p(second)": round(second, 6), "margin": round(first - second, 6), "entropy": round(entropy, 6),
    }  # fmt: skip


def _images(images: JudgedImages, order: NDArray[np.int64]) -> list[Tensor]:
    """The images at these places, in this order."""
    found: dict[int, Tensor] = {}
    for split in dict.fromkeys(images.places[at][0] for at in order.tolist()):
        of_split = sorted((images.places[at][1], at) for at in order.tolist() if images.places[at][0] == split)
        positions = np.array([position for position, _ in of_split])
        pixels = torch.cat([batch.image for batch in images.data.plain_dataloader(split, positions=positions)])
        for (_, at), image in zip(of_split, eight_bit(pixels, images.data.pixels), strict=True):
            found[at] = image
    return [found[at] for at in order.tolist()]


def write_list(path: Path, ranked: Ranked) -> None:
    """Write the rows as a CSV file, there whole or not at all.

    Args:
        path: Of the file.
        ranked: The list.
    """
    stream = io.StringIO(newline="")
    if ranked.rows:
        writer = csv.DictWriter(stream, fieldnames=list(ranked.rows[0]), lineterminator="\n")
        writer.writeheader()
        for row in ranked.rows:
            writer.writerow({key: cell(value) if isinstance(value, str) else value for key, value in row.items()})
    write_whole(path, stream.getvalue())
