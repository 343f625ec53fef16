"""ADDA teaches the discriminator the true domains and the target's encoder the opposite."""

import numpy as np
import pytest
import torch
from torch import nn

from headstart.adaptation.adaptation import Side
from headstart.adaptation.adda import ADDA
from headstart.adaptation.domain_discriminator import domain_loss
from headstart.backbones.stages import Backbone
from headstart.types import Batch, Pixels

D, C = 6, 3


@pytest.fixture
def adda():
    torch.manual_seed(0)
    one = ADDA(weight=1, ramp="constant", hidden=8)
    one.prepare(width=D, num_classes=C, source_classes=C)
    return one


def sides():
    draw = torch.Generator().manual_seed(1)
    return [
        Side(torch.randn(count, D, generator=draw).requires_grad_(), torch.zeros(count, C), None) for count in (9, 7)
    ]


def test_the_term_is_the_domain_loss_and_the_inverted_labels_loss(adda):
    source, target = sides()
    term = adda(source=source, target=target, head=None, strength=0.5)
    s, t = (adda.discriminator(side.features).detach().numpy() for side in (source, target))
    truth = np.log1p(np.exp(-s)).mean() + np.log1p(np.exp(t)).mean()
    assert term.item() == pytest.approx(truth + 0.5 * np.log1p(np.exp(-t)).mean(), rel=1e-5)


def test_the_discriminator_learns_the_truth_alone_and_the_target_the_inverted_labels_alone(adda):
    source, target = sides()
    term = adda(source=source, target=target, head=None, strength=0.5)
    own = list(adda.discriminator.parameters())
    *of_discriminator, of_target = torch.autograd.grad(term, [*own, target.features], retain_graph=True)
    truth = domain_loss(*(adda.discriminator(side.features.detach()) for side in (source, target)))
    for found, want in zip(of_discriminator, torch.autograd.grad(truth, own), strict=True):
        torch.testing.assert_close(found, want)
    inverted = nn.functional.softplus(-adda.discriminator(target.features)).mean()
    torch.testing.assert_close(of_target, 0.5 * torch.autograd.grad(inverted, target.features)[0])
    assert torch.autograd.grad(term, source.features, allow_unused=True) == (None,)


def test_the_sources_encoder_is_the_backbone_as_the_run_began_in_eval(adda):
    torch.manual_seed(3)
    stage = nn.Sequential(nn.Flatten(), nn.Linear(16, D), nn.BatchNorm1d(D), nn.Dropout(0.5))
    backbone = Backbone({"stage": stage}, pixels=Pixels(size=4, channels=1, mean=(0.5,), std=(0.25,)), keep=None)
    stages = {**backbone.stages, "head": nn.Linear(D, C)}
    adda.stand_beside(stages)
    nn.init.normal_(stage[1].weight)  # the source's weights are loaded
    adda.begin(stages, ("stage", "head"))
    batch = Batch(torch.randint(0, 256, (5, 1, 4, 4), dtype=torch.uint8), torch.zeros(5))
    want = backbone.eval()(batch.image).detach()
    backbone.train()
    adda.train()
    backbone(batch.image)  # its running statistics move
    nn.init.zeros_(stage[1].weight)
    torch.testing.assert_close(adda.paired_features(backbone, batch), want)
