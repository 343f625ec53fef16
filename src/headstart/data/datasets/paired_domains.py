"""Data of a run that learns from a labelled source and a target without labels."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge

from headstart.data.data_protocols import StoredFiles
from headstart.data.datasets.image_datamodule import ImageDataModule
from headstart.data.datasets.labelled_split import Split
from headstart.data.datasets.webdataset import WebDataset
from headstart.data.splits.class_sets import ClassSets, joint_classes
from headstart.data.splits.few_labels import FewLabels, renumbered
from headstart.data.splits.hidden_labels import Unlabelled, WithLabels
from headstart.data.transforms.augmentation_chain import augmentation_of
from headstart.types import UserError


class Domains(ImageDataModule):
    """Training and validation images of the source, each batch with a paired batch of the target; the target's test.

    The labels of the paired batch are hidden. Classes are matched by name and numbered as the source's;
    classes that it has not are one more, where class_sets is `open`.

    Args:
        source: The labelled data set.
        target: The data set whose train and val labels nothing may read.
        unlabelled: Whether the training images are the target's, without labels; the paired images are the source's.
        brings_paired: Whether training batches come with a paired batch.
        target_labels: Target images of each class whose labels come with each batch, too; these are among the
            unlabelled ones as before.
        view: An augmentation that makes a second view of each unlabelled training image; None means none.
        class_sets: Which classes the two have, as headstart.data.splits.class_sets says.

    Attributes:
        hidden: Train and val of the target without labels.

    Raises UserError where the two have other classes than class_sets says, or the target's images are drawn by their
    labels.
    """

    def __init__(
        self,
        *,
        source: ImageDataModule,
        target: ImageDataModule,
        unlabelled: bool = False,
        brings_paired: bool = True,
        target_labels: Annotated[int, Ge(0)] = 0,
        view: Any = None,
        class_sets: ClassSets = "same",
    ) -> None:
        if any(isinstance(data, WebDataset) for data in (source, target)):
            raise UserError("adaptation needs images that it can look up, not streams; take another data set")
        class_names = joint_classes(source.class_names, target.class_names, class_sets)
        for setting, count in (("shots", target.shots), ("val_shots", target.val_shots)):
            if count is not None:
                raise UserError(
                    f"adaptation has no labels of the target to draw images by, got target.{setting}={count}; "
                    f"try target.{setting}=null"
                )
        if target.sampler is not None:
            raise UserError(
                f"target.sampler={target.sampler} draws images by their labels, of which adaptation has none of the "
                "target; try target.sampler=null"
            )
        main = target if unlabelled else source
        super().__init__(
            class_names=class_names,
            sampler=main.sampler,
            **main.loading_settings(),
        )
        self._source, self._target = source, target
        self.hidden, self.unlabelled = Unlabelled(target), unlabelled
        self.hidden.view = augmentation_of(view)
        self._train = self.hidden if unlabelled else source
        paired = source if unlabelled else self.hidden
        self.paired = paired if brings_paired else None
        if target_labels:
            self.labelled = FewLabels(target, per_class=target_labels, class_names=class_names)

    def stored_files(self) -> list[Path]:
        """Those of the target and of the source."""
        both = (self._target, self._source)
        return [path for data in both if isinstance(data, StoredFiles) for path in data.stored_files()]

    @cached_property
    def splits(self) -> dict[str, Split]:
        return self.load()  # in the order of their own data sets, which `names` has too

    @property
    def labelled_training(self) -> Split:
        """The training images of the source."""
        return self._source.splits["train"]

    def load(self) -> dict[str, Split]:
        test = self._target.splits["test"]
        self.duplicates = self._target.duplicates
        label = renumbered(test.label, self._target.class_names, self.class_names)
        return {
            "train": self._train.splits["train"],
            "val": self._source.splits["val"],
            "test": WithLabels(test, label),
        }

    def names(self, split: str) -> list[str]:
        """What each image of a split is called. Raises UserError where there is no such split."""
        return {"train": self._train, "test": self._target}.get(split, self._source).names(split)


def paired_data(
    source: ImageDataModule,
    target: ImageDataModule,
    *,
    main: Literal["source", "target", "unlabelled"],
    brings_paired: bool = True,
    target_labels: Annotated[int, Ge(0)] = 0,
    view: Any = None,
    class_sets: ClassSets = "same",
) -> ImageDataModule:
    """The data of a run that is about one of the two, whose training batches have a paired batch of the other.

    Args:
        source: The labelled data set.
        target: The data set that the run is for.
        main: Which of them a batch holds, as headstart.adaptation.adaptation says.
        brings_paired: Of an unlabelled main, whether the source's training images come along.
        target_labels: As Domains says.
        view: As Domains says.
        class_sets: As Domains says.

    Raises UserError, as Domains says, and where one of them cannot be paired.
    """
    for name, data in (("source", source), ("target", target)):
        if not isinstance(data, ImageDataModule):
            raise UserError(
                f"to learn from two data sets at once, each must be a "
                f"headstart.data.datasets.image_datamodule.ImageDataModule, "
                f"{name} is {type(data).__name__}"
            )
        if data.regression:
            raise UserError(
                f"to learn from two data sets at once, images of the {name} must be each of one class, and they have "
                "numbers"
            )
        if data.multi_label and (name, main) != ("target", "target"):
            raise UserError(
                f"to learn from two data sets at once, images of the {name} must be each of one class, and they may "
                "have several labels"
            )
    if main != "target":
        unlabelled = main == "unlabelled"
        return Domains(
            source=source, target=target, unlabelled=unlabelled, brings_paired=brings_paired or not unlabelled,
            target_labels=target_labels, view=view, class_sets=class_sets,
        )  # fmt: skip
    if target_labels:
        raise UserError(
            f"target_labels={target_labels} is for an adaptation to a target without labels; where all labels of the "
            "target are read, target.shots says how many images of each class there are"
        )
    target.paired = source
    return target
