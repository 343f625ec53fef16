"""The model of a finished run, to predict with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from omegaconf import OmegaConf
from torch import Tensor, nn

from headstart.runs.quiet_logs import quieten
from headstart.runs.saved.finished_model import Finished, finished_model
from headstart.system.trust_flags import permitted
from headstart.tasks.predict import files_of
from headstart.types import Pixels, UserError

AT_ONCE = 64  # images in a batch


@dataclass(frozen=True)
class ImagePrediction:
    """What a model says of one image.

    Attributes:
        image: The file, or the number of the image in an array.
        predicted: The most probable class; where an image may have several labels, all with a probability above 1/2;
            where targets are numbers, each by its column.
        probabilities: The probability of each class, by its name.
    """

    image: str | int
    predicted: str | tuple[str, ...] | dict[str, float]
    probabilities: dict[str, float]


class LoadedModel:
    """A finished run's backbone and head, in eval mode.

    Args:
        folder: The run's folder.
        model: Backbone, head and what makes images of files.
    """

    def __init__(self, folder: Path, model: Finished) -> None:
        self.folder = folder
        self._model = model

    def __repr__(self) -> str:
        return f"LoadedModel({self.folder}, {len(self.class_names)} classes)"

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes, in the order of the probabilities."""
        return self._model.class_names

    @property
    def pixels(self) -> Pixels:
        """Size, channels, mean and deviation of the images that the backbone expects."""
        return self._model.backbone.pixels

    @property
    def backbone(self) -> nn.Module:
        """Normalised images (B, channels, size, size) -> features (B, D)."""
        return self._model.backbone

    @property
    def head(self) -> nn.Module:
        """Features (B, D) -> logits (B, classes)."""
        head: nn.Module = self._model.head
        return head

    def probabilities(self, images: NDArray[np.uint8]) -> Tensor:
        """Images (B, size, size) grey or (B, size, size, 3) RGB, uint8 -> (B, classes), float32, on the CPU.

        Of a model whose targets are numbers these, (B, columns), in the units of the table.

        Args:
            images: As large as `pixels.size`.
        """
        size, channels = self.pixels.size, self.pixels.channels
        expected = (size, size) if channels == 1 else (size, size, channels)
        if images.dtype != np.uint8 or images.shape[1:] != expected:
            raise UserError(
                f"images must be uint8 of shape (B, {', '.join(map(str, expected))}), got {images.dtype} of "
                f"{images.shape}; files of any size are read by predict(<folder>)"
            )
        return self._model.probabilities(images)

    def predict(self, images: str | Path | Sequence[str | Path] | NDArray[np.uint8]) -> list[ImagePrediction]:
        """A prediction for each image, in their order.

        Args:
            images: A folder, a file or a pattern of files; several files; or an array, as `probabilities` takes it.

        Raises:
            UserError: There is no image, or one cannot be read.
        """
        if isinstance(images, np.ndarray):
            names: list[str | int] = list(range(len(images)))
            batches = [self.probabilities(images[at : at + AT_ONCE]) for at in range(0, len(images), AT_ONCE)]
        else:
            paths = [images] if isinstance(images, str | Path) else images
            files = [file for path in paths for file in files_of(str(path), setting="images")]
            names = list(files)
            batches = [self._of_files(files[at : at + AT_ONCE]) for at in range(0, len(files), AT_ONCE)]
        rows = [row for batch in batches for row in batch.tolist()]
        return [self._prediction(name, row) for name, row in zip(names, rows, strict=True)]

    def _of_files(self, files: list[str]) -> Tensor:
        return self._model.probabilities(np.stack([self._model.decoder(Path(file)) for file in files]))

    def _prediction(self, image: str | int, row: list[float]) -> ImagePrediction:
        if self._model.numbers:
            return ImagePrediction(image, dict(zip(self.class_names, row, strict=True)), {})
        probabilities = dict(zip(self.class_names, row, strict=True))
        predicted: str | tuple[str, ...] = max(probabilities, key=probabilities.__getitem__)
        if self._model.separator is not None:  # an image may have several labels
            predicted = tuple(name for name, probability in probabilities.items() if probability > 0.5)
        return ImagePrediction(image, predicted, probabilities)


def load(
    folder: str | Path,
    *,
    checkpoint: Literal["best", "last"] = "best",
    accelerator: str = "auto",
    precision: str = "32-true",
    trust: bool = False,
) -> LoadedModel:
    """The model of a finished run; its data need not be there.

    Args:
        folder: The run's folder.
        checkpoint: Whether the best weights or the last ones are loaded.
        accelerator: Where it computes, as Lightning names it: cpu, gpu, mps or auto.
        precision: Of what it computes, as Lightning names it: 32-true, 16-mixed, bf16-mixed.
        trust: Whether a config of another person may name any class, as --trust has it.

    Raises:
        UserError: The run is not finished, a file is missing or damaged, or its config may not be used.
    """
    quieten()
    trainer = {"_target_": "pytorch_lightning.Trainer", "accelerator": accelerator, "precision": precision}
    with permitted(["--trust"] if trust else []):
        model = finished_model(OmegaConf.create({"trainer": trainer}), folder, checkpoint)
    return LoadedModel(Path(folder).expanduser(), model)
