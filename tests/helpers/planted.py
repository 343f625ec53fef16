"""A problem in which the two modes need rates that differ more than tenfold, for tests of the tuning."""

import numpy as np
import torch
from torch import nn

from headstart.backbones.stages import Backbone
from headstart.data.datasets.digits import handwritten
from headstart.types import Pixels

FEATURES = 9
SCALE = 0.1  # of the source's features: a linear head on them needs 1 / SCALE^2 times the rate


def linear_features(*, keep):
    """One stage, nine linear features of 8 x 8 pixels."""
    stages = {"features": nn.Sequential(nn.Flatten(), nn.Linear(64, FEATURES))}
    return Backbone(stages, pixels=Pixels(8, 1, (0.3,), (0.38,)), keep=keep)


def write_source(path):
    """Weights whose features tell the digits apart better than a few shots can: their linear discriminants, small."""
    image, label = handwritten()
    small = torch.nn.functional.interpolate(
        torch.from_numpy(image)[:, None].float(), size=8, mode="bilinear", antialias=True
    )
    x = ((small / 255 - 0.3) / 0.38).flatten(1).double().numpy()
    means = np.stack([x[label == digit].mean(axis=0) for digit in range(10)])
    within = np.cov((x - means[label]).T) + 0.1 * np.eye(64)
    values, vectors = np.linalg.eigh(within)
    whiten = vectors / np.sqrt(values)
    _, _, directions = np.linalg.svd((means - means.mean(axis=0)) @ whiten, full_matrices=False)
    weight = SCALE * directions[:FEATURES] @ whiten.T
    state = {"stages.features.1.weight": weight, "stages.features.1.bias": -weight @ means.mean(axis=0)}
    torch.save({name: torch.from_numpy(array).float() for name, array in state.items()}, path)
