"""A classifier that adapts, on one process or as one rank of two: two_domains.py <folder> <method>."""

import sys
from pathlib import Path

import numpy as np
import torch
from pytorch_lightning import Callback
from pytorch_lightning.strategies import DDPStrategy
from torch import nn
from torch.nn.functional import batch_norm
from torch.optim.lr_scheduler import ConstantLR

from headstart.adaptation.adda import ADDA
from headstart.adaptation.coral import CORAL
from headstart.adaptation.dann import DANN
from headstart.adaptation.deepjdot import DeepJDOT
from headstart.adaptation.fixmatch import FixMatch
from headstart.adaptation.mcc import MCC
from headstart.adaptation.osbp import OSBP
from headstart.adaptation.pada import PADA
from headstart.adaptation.self_training import SelfTraining
from headstart.adaptation.shot import SHOT
from headstart.adaptation.sum_of_terms import SumOfTerms
from headstart.adaptation.tent import Tent
from headstart.backbones.stages import Backbone
from headstart.callbacks.domains.domain_predictions import DomainPredictions
from headstart.callbacks.domains.selection_scores import SelectionScores
from headstart.callbacks.training.replica_check import ReplicaCheck
from headstart.callbacks.training.unfreeze import Unfreeze
from headstart.data.datasets.in_memory import InMemory, LabelledImages
from headstart.data.datasets.paired_domains import Domains
from headstart.modules.classifier import Classifier
from headstart.modules.heads.linear_head import LinearHead
from headstart.runs.training.checkpoint_selection import scores
from headstart.types import Pixels
from headstart.unfreeze.schedules.constant import Constant
from headstart.unfreeze.schedules.one_parameter_kind import OneParameterKind
from headstart.unfreeze.schedules.without_head import WithoutHead
from numbered import trainer

PIXELS = Pixels(size=4, channels=1, mean=(0.5,), std=(0.25,))
METHODS = {
    "dann": lambda: DANN(weight=1.0, ramp="sigmoid", hidden=8),
    "coral": lambda: CORAL(weight=5.0, ramp="constant"),
    "self_training": lambda: SelfTraining(weight=3.0, ramp="linear", confidence=0.6),
    "shot": lambda: SHOT(weight=1.0, ramp="constant", beta=0.3),
    "adda": lambda: ADDA(weight=1.0, ramp="constant", hidden=8),
    "osbp": lambda: OSBP(weight=1.0, ramp="sigmoid", boundary=0.4),
    "tent": lambda: Tent(weight=1.0, ramp="constant"),
    # of PADA, FixMatch, DeepJDOT and MCC at once
    "sum": lambda: SumOfTerms(
        terms={
            "first": PADA(weight=1.0, ramp="sigmoid", hidden=8),
            "second": FixMatch(weight=1.0, ramp="constant", confidence=0.6, strong=Darker()),
            "third": DeepJDOT(weight=1.0, ramp="linear", feature_cost=0.1, label_cost=1.0),
            "fourth": MCC(weight=1.0, ramp="constant", temperature=2.0),
        }
    ),
}


class Darker:
    """An augmentation: each image times a random number."""

    def __call__(self, image, rng):
        return image * rng.uniform(1)[:, :, None, None]


class Noise(InMemory):
    """Images of noise whose brightness is their class and their domain."""

    def load(self):
        drawn = np.random.default_rng(self.seed)
        sizes = {"train": 24 + 8 * self.seed, "val": 8, "test": 8}
        return {
            split: LabelledImages(
                (drawn.integers(0, 100, (count, 4, 4)) + 50 * (np.arange(count) % 2)[:, None, None]).astype(np.uint8)
                + np.uint8(40 * self.seed),
                np.arange(count) % 2,
            )
            for split, count in sizes.items()
        }


def noise(seed, batch_size):
    return Noise(
        class_names=("dark", "bright"), batch_size=batch_size, num_workers=0, augment=None, pixels=PIXELS, seed=seed
    )


class NormOfTwoRanks(nn.BatchNorm1d):
    """In one process what BatchNorm is on two ranks: each normalises its own images; the statistics are rank 0's."""

    def forward(self, x):
        if not self.training:
            return super().forward(x)
        of_rank_1 = batch_norm(x[1::2], None, None, self.weight, self.bias, training=True, eps=self.eps)
        return torch.stack([super().forward(x[0::2]), of_rank_1], dim=1).flatten(0, 1)


def classifier(method, *, ranks=1):
    """Without BatchNorm, whose statistics are each rank's own, but for TENT."""
    torch.manual_seed(0)
    norm = {1: NormOfTwoRanks, 2: nn.BatchNorm1d}[ranks](8) if method == "tent" else nn.Identity()
    body = {"stage1": nn.Sequential(nn.Flatten(), nn.Linear(16, 8), norm, nn.ReLU()), "stage2": nn.Linear(8, 6)}
    backbone = Backbone(body, pixels=PIXELS, keep=None)
    classes = 3 if method == "osbp" else 2  # one more is the unknown class
    return Classifier(
        backbone=backbone, head=LinearHead(width=6, num_classes=classes, init="random"), num_classes=classes,
        optimizer=lambda groups, lr=0.1: torch.optim.SGD(groups, lr=lr),
        scheduler=lambda optimizer: ConstantLR(optimizer, factor=1.0, total_iters=1),
        stage_decay=1.0, layer_decay=1.0, label_smoothing=0.0, class_weights=None, scheduler_interval="step",
        scheduler_monitor="val/loss",
        adaptation=METHODS[method](), source_classes=2, target_labels_share=0.25 if method == "self_training" else 0.0,
    )  # fmt: skip


class Noted(Callback):
    """Notes the scores of each validation."""

    def __init__(self):
        self.scores = []

    def on_validation_end(self, trainer, pl_module):
        figures = trainer.callback_metrics.items()
        self.scores.append({name: value for name, value in figures if name.startswith("target/")})


def fit(folder, method, *, ranks):
    """The weights, as tested, after three epochs in global batches of 8 and 8, and the scores after each."""
    devices = {"devices": 2, "strategy": DDPStrategy(process_group_backend="gloo")} if ranks == 2 else {"devices": 1}
    module = classifier(method, ranks=ranks)
    adaptation = module.adaptation
    data = Domains(
        source=noise(0, 8 // ranks), target=noise(1, 8 // ranks), unlabelled=adaptation.main == "unlabelled",
        brings_paired=adaptation.reads_paired, target_labels=2 if module.target_labels_share else 0,
        view=adaptation.view,
    )  # fmt: skip
    module.begin((), {})
    schedule = OneParameterKind(kind="norms") if adaptation.trains_norms_alone else Constant()
    if not module.knows_labels:
        schedule = WithoutHead(schedule=schedule, instead=("adaptation",) if method == "adda" else ())
    watching = [
        DomainPredictions(),
        SelectionScores(scores=scores(None, sees_source=module.knows_labels)),
        noted := Noted(),
    ]
    callbacks = [Unfreeze(schedule), ReplicaCheck(), *watching]
    run = trainer(folder, max_epochs=3, **devices, use_distributed_sampler=False, callbacks=callbacks)
    run.fit(module, datamodule=data)
    module.finalize(data)
    return {"weights": module.state_dict(), "scores": noted.scores}


if __name__ == "__main__":
    place, chosen = Path(sys.argv[1]), sys.argv[2]
    found = fit(place, chosen, ranks=2)
    torch.save(found, place / f"{chosen}-{torch.distributed.get_rank()}.pt")
    torch.distributed.destroy_process_group()
