"""torchvision's data sets by name, with their official splits and variants."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from headstart.types import UserError

Arguments = Mapping[str, str | bool]  # what a class of torchvision wants to be told for one split
DIGITS = tuple("0123456789")


@dataclass(frozen=True)
class OfficialDataset:
    """How a data set of torchvision is asked for its splits."""

    place: str  # of its files, below root
    splits: Mapping[str, Arguments]  # those that it has; what is missing is taken from them
    variant: str | None = None  # the argument that chooses a variant
    variants: tuple[str, ...] = ()  # its values, the usual one first
    class_names: tuple[str, ...] | None = None  # where the class says none, or others than its sisters
    on_its_side: bool = False  # rows are stored as columns


def _by(argument: str, **value: str | bool) -> Mapping[str, Arguments]:
    return {split: {argument: of} for split, of in value.items()}


_FLAG = _by("train", train=True, test=False)
_TWO = _by("split", train="train", test="test")
_THREE = _by("split", train="train", val="val", test="test")
_WHOLE: Mapping[str, Arguments] = {"train": {}}
_LETTERS = ("balanced", "byclass", "bymerge", "letters", "digits", "mnist")
_PARTITIONS = tuple(str(number) for number in range(1, 11))

SETS = {
    "MNIST": OfficialDataset("MNIST/raw", _FLAG, class_names=DIGITS),
    "FashionMNIST": OfficialDataset("FashionMNIST/raw", _FLAG),
    "KMNIST": OfficialDataset("KMNIST/raw", _FLAG),
    "EMNIST": OfficialDataset("EMNIST/raw", _FLAG, "split", _LETTERS, on_its_side=True),
    "QMNIST": OfficialDataset("QMNIST/raw", _by("what", train="train", test="test"), class_names=DIGITS),
    "USPS": OfficialDataset("usps.bz2 and usps.t.bz2", _FLAG, class_names=DIGITS),
    "SVHN": OfficialDataset("train_32x32.mat and test_32x32.mat", _TWO, class_names=DIGITS),
    "CIFAR10": OfficialDataset("cifar-10-batches-py", _FLAG),
    "CIFAR100": OfficialDataset("cifar-100-python", _FLAG),
    "Flowers102": OfficialDataset("flowers-102", _THREE),
    "OxfordIIITPet": OfficialDataset("oxford-iiit-pet", _by("split", train="trainval", test="test")),
    "DTD": OfficialDataset("dtd", _THREE, "partition", _PARTITIONS),
    "FGVCAircraft": OfficialDataset(
        "fgvc-aircraft-2013b", _THREE, "annotation_level", ("variant", "family", "manufacturer")
    ),
    "StanfordCars": OfficialDataset("stanford_cars", _TWO),
    "Food101": OfficialDataset("food-101", _TWO),
    "Caltech101": OfficialDataset("caltech101", _WHOLE),
    "EuroSAT": OfficialDataset("eurosat", _WHOLE),
    "STL10": OfficialDataset("stl10_binary", _TWO),
    "PCAM": OfficialDataset("pcam", _THREE, class_names=("normal", "tumor")),
    "GTSRB": OfficialDataset("gtsrb", _TWO),
    "Country211": OfficialDataset("country211", _by("split", train="train", val="valid", test="test")),
    "Imagenette": OfficialDataset(
        "imagenette2", _by("split", train="train", val="val"), "size", ("full", "320px", "160px")
    ),
    "RenderedSST2": OfficialDataset("rendered-sst2", _THREE),
    "SUN397": OfficialDataset("SUN397", _WHOLE),
}


def official_of(name: str) -> OfficialDataset:
    """The table's line of a data set. Raises UserError where it has none."""
    if name not in SETS:
        lower = {known.lower(): known for known in SETS}
        close = get_close_matches(name.lower(), lower, n=1)
        hint = f"; did you mean {lower[close[0]]}?" if close else ""
        raise UserError(f"name must be one of {', '.join(SETS)}, got {name!r}{hint}")
    return SETS[name]


def variant_argument(name: str, official: OfficialDataset, variant: str | int | None) -> dict[str, Any]:
    """The argument that chooses a variant, if there is one. Raises UserError."""
    if official.variant is None:
        if variant is not None:
            raise UserError(f"variant must be null for {name}, which has only one, got {variant!r}")
        return {}
    chosen = official.variants[0] if variant is None else str(variant)
    if chosen not in official.variants:
        raise UserError(f"variant of {name} must be one of {', '.join(official.variants)}, got {chosen!r}")
    return {official.variant: int(chosen) if chosen.isdigit() else chosen}
