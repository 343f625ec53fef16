"""Settings that data sets share, each stated once with its type and range.

A data set takes them as `**settings: Unpack[FileSettings]`, and its YAML takes their defaults from conf/data/_settings.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypedDict

from annotated_types import Ge, Interval

from headstart.data.transforms.augmentation import Augmentation
from headstart.data.transforms.corruptions.corruption_kinds import Kind
from headstart.types import Pixels, UserError

ClassName = str | int | float | bool  # YAML makes numbers of some names
Leakage = Literal["together", "drop", "error", "allow", "near"]


class SeedSettings(TypedDict):
    """The seed that a run gives its data.

    Args:
        seed: Of the images that are drawn, their order and their augmentation.
    """

    seed: Annotated[int, Ge(0)]


class LoadingSettings(SeedSettings):
    """How images become batches: settings of every data set.

    Args:
        batch_size: Images in a training batch, on each device.
        num_workers: Processes that load images for a device; `auto` takes none where the model computes on the CPU.
        augment: Random changes of training images: an augmentation, or any callable that changes one image, as those
            of torchvision.transforms.v2; a list of them comes one after the other.
        pixels: The images that the backbone expects, which the run gives.
    """

    batch_size: Annotated[int, Ge(1)]
    num_workers: Annotated[int, Ge(0)] | Literal["auto"]
    augment: Augmentation | None
    pixels: Pixels


class ClassSettings(TypedDict):
    """Which classes of a data set there are.

    Args:
        classes: Names of the classes that are taken, in the order of their numbers. Or a mapping from names to new
            ones: the same new name merges classes, null leaves one out, the others keep their names. None takes all.
    """

    classes: list[ClassName] | dict[ClassName, ClassName | None] | None


class CorruptionSettings(TypedDict):
    """A corruption of all images of a data set, those of train among them: a domain of its own.

    Args:
        corruption: A kind of ImageNet-C; None takes the images as they are.
        severity: Of the corruption.
    """

    corruption: Kind | None
    severity: Annotated[int, Interval(ge=1, le=5)]


class FoldSettings(SeedSettings):
    """Cross-validation.

    Args:
        fold: Which part of all images that are not for the test is val; None means no cross-validation.
        folds: Number of equal parts.
    """

    fold: Annotated[int, Ge(0)] | None
    folds: Annotated[int, Ge(2)]


class SplitSettings(FoldSettings, ClassSettings):
    """Which images are train, val and test, and how many labels a run reads.

    Args:
        shots: Training images of each class; None means all.
        val_shots: Val images of each class; None means all that are left, 0 means no validation.
        fraction: Training images as a share of all, in place of shots.
        val_share: Share of each class's training images that becomes val, where the data come without val.
        test_share: The same for test, where the data come with neither test nor val.
    """

    shots: Annotated[int, Ge(1)] | None
    val_shots: Annotated[int, Ge(0)] | None
    fraction: Annotated[float, Interval(gt=0, le=1)] | None
    val_share: Annotated[float, Interval(gt=0, lt=1)]
    test_share: Annotated[float, Interval(gt=0, lt=1)]


class BoxSettings(TypedDict):
    """How large objects on a plain background are drawn.

    Args:
        box: Pixels of the longer side of the object within the frame, in whose middle it is drawn; None leaves images
            as they are.
    """

    box: Annotated[int, Ge(1)] | None


class DecodingSettings(BoxSettings):
    """How image files become pixels.

    Args:
        resize: Pixels of the shorter side before the centre is cut out; None means what the backbone says, else
            256/224 of its size, and of an image that is no larger than the backbone's, that size.
        decode: `reduced` reads JPEG files at a fraction of their size where that is enough, `full` at their whole size.
        value_range: Of grey values of more than 8 bits, the one that becomes black and the one that becomes white;
            None means all that the bits can hold.
        background: Grey level behind transparent pixels.
        max_pixels: Pixels of one image; a larger image is never decoded.
        cache_gib: GiB of decoded images of train, then of val, that stay in memory, per process.
    """

    resize: Annotated[int, Ge(1)] | None
    decode: Literal["reduced", "full"]
    value_range: tuple[float, float] | None
    background: Annotated[int, Interval(ge=0, le=255)]
    max_pixels: Annotated[int, Ge(1)]
    cache_gib: Annotated[float, Ge(0)]


class ImageSettings(SplitSettings, DecodingSettings, LoadingSettings):
    """Settings of data sets whose images are looked up one by one.

    Args:
        sampler: `balanced` draws training images of each class equally often, an epoch as long as before; None goes
            through all images.
    """

    sampler: Literal["balanced"] | None


class FileSettings(ImageSettings):
    """Settings of data sets that are lists of image files.

    Args:
        unreadable: `error` reads each file's header before training; `skip` decodes each file once and leaves out what
            fails.
        leakage: Of files of the same bytes. `together` keeps them in one split where splits are drawn; where they lie
            in two splits that are given, train, else val, leaves its own out. `drop` keeps one file of each image, that
            of test before that of val before that of train. `error` is `together` where splits are drawn, and stops
            where they lie in two that are given. `near` is `together`, and warns of pictures that lie in two splits,
            saved again at another size or quality. `allow` warns, and leaves all where they are. A group of images in
            two given splits is an error but for `allow`.
        conflicting_labels: Of files of the same bytes with different labels. `keep` warns, `drop` leaves all of them
            out, `error` stops.
    """

    unreadable: Literal["error", "skip"]
    leakage: Leakage
    conflicting_labels: Literal["keep", "drop", "error"]


def check_names(settings: Mapping[str, Any], kind: Any, owner: object) -> None:
    """Raise TypeError where settings lack a name of this TypedDict, or have another one.

    Args:
        settings: What a constructor was given as keyword arguments.
        kind: The TypedDict that states the names.
        owner: The object that is constructed, for the message.
    """
    names = kind.__required_keys__
    if unknown := sorted(settings.keys() - names):
        raise TypeError(f"{type(owner).__name__}() got an unexpected keyword argument: {', '.join(unknown)}")
    if missing := sorted(names - settings.keys()):
        raise TypeError(f"{type(owner).__name__}() misses keyword arguments: {', '.join(missing)}")


def loading_of(settings: LoadingSettings) -> LoadingSettings:
    """The loading settings among those of a data set."""
    return {
        "batch_size": settings["batch_size"],
        "num_workers": settings["num_workers"],
        "augment": settings["augment"],
        "pixels": settings["pixels"],
        "seed": settings["seed"],
    }


def labels_of(settings: SplitSettings) -> dict[str, object]:
    """The settings that choose some of the images."""
    return {
        "shots": settings["shots"],
        "val_shots": settings["val_shots"],
        "fraction": settings["fraction"],
        "fold": settings["fold"],
    }


def check_none_left_out(settings: Mapping[str, object]) -> None:
    """Raise UserError where one of these settings, which choose some of the images, is not None."""
    if drawn_by := [f"{name}={value}" for name, value in settings.items() if value is not None]:
        raise UserError(f"all images are evaluated, none are drawn by {', '.join(drawn_by)}; leave that null")
