"""One run of one way of doing the work."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

# what every way does alike: AdamW at a constant rate, batches of images shuffled in each epoch, val after each epoch
BATCH, RATE, DECAY = 32, 1e-3, 0.01
PARTS = {
    "resnet18": ("stem", "layer1", "layer2", "layer3", "layer4", "head"),
    "mobilenet_v2": ("stem", "stage1", "stage2", "stage3", "stage4", "last", "head"),
}
FEATURES, GRADUAL, FULL = "features", "gradual", "full"


@dataclass(frozen=True, kw_only=True)
class Job:
    """task: FEATURES trains the head on a frozen backbone, GRADUAL opens stages by `opens`, FULL trains all.
    root: folder of train/ and val/ with class folders. weights: a state_dict of torchvision's model. size: pixels.
    workers: of each loader. folder: what the run may write into."""

    task: str
    epochs: int
    root: str
    weights: str
    folder: str
    model: str = "resnet18"
    size: int = 224
    workers: int = 0
    seed: int = 0

    @property
    def parts(self) -> tuple[str, ...]:
        return PARTS[self.model]

    def opens(self, epoch: int) -> tuple[str, ...]:
        """The parts that learn in an epoch."""
        return opens(self.task, self.parts, epoch)

    def said(self) -> str:
        return json.dumps(asdict(self))

    @staticmethod
    def read(text: str) -> Job:
        return Job(**json.loads(text))


def opens(task: str, parts: Sequence[str], epoch: int) -> tuple[str, ...]:
    """GRADUAL: the head, the last stage too, the next too, then all."""
    if task == FEATURES:
        return tuple(parts[-1:])
    if task == FULL or epoch >= 3:
        return tuple(parts)
    return tuple(parts[-1 - epoch :])


def new_folder(root: Path, name: str) -> str:
    """An empty folder of that name."""
    folder = root / name
    folder.mkdir(parents=True)
    return str(folder)
