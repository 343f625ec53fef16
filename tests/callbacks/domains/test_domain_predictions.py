"""Listeners get the model's predictions for the images of both domains."""

import numpy as np
import pytest
import torch
from pytorch_lightning import Callback

import two_domains
from headstart.callbacks.checkpoints.rng_states import random_states
from headstart.callbacks.domains import domain_predictions
from headstart.callbacks.domains.domain_predictions import DomainPredictions
from headstart.data.datasets.paired_domains import Domains
from numbered import trainer


class Told(Callback):
    """Notes what it is told, and how the model stands then."""

    def __init__(self):
        self.sides, self.modes = [], []

    def on_both_sides(self, trainer, pl_module, sides):
        self.sides.append(sides)
        self.modes.append((pl_module.training, torch.is_grad_enabled()))
        self.weights = {name: tensor.clone() for name, tensor in pl_module.state_dict().items()}


class ImageRng(Callback):
    """Compares the random states before and after DomainPredictions, between two of which it stands."""

    states = ()

    def on_validation_epoch_end(self, trainer, pl_module):
        self.states = (*self.states, random_states(pl_module.device))


def told(tmp_path, **settings):
    data = Domains(source=two_domains.noise(0, 4), target=two_domains.noise(1, 4))
    module, before, after, one = two_domains.classifier("coral"), ImageRng(), ImageRng(), Told()
    watching = [one, before, DomainPredictions(), after]  # whoever listens may stand anywhere
    trainer(tmp_path, max_epochs=2, callbacks=watching, **settings).fit(module, datamodule=data)
    return data, module, one, (before, after)


def test_a_listener_is_told_at_each_validation_what_the_model_makes_of_each_split_in_its_order(tmp_path):
    data, module, one, _ = told(tmp_path)
    assert len(one.sides) == 2
    module.load_state_dict(one.weights)
    module.eval()
    sides = one.sides[-1]
    wanted = {"source_val": data.splits["val"], "target_val": data.paired.splits["val"]}
    for name, split in wanted.items():
        side, images = getattr(sides, name), split.at(np.arange(8))[:, None]
        torch.testing.assert_close(side.features, module.backbone(images))
        torch.testing.assert_close(side.logits, module(images))
    assert sides.source_val.label.tolist() == data.splits["val"].label.tolist()
    assert sides.target_val.label is None


def test_the_source_training_images_are_a_fixed_choice_with_their_labels(tmp_path, monkeypatch):
    monkeypatch.setattr(domain_predictions, "TRAIN_IMAGES", 6)
    data, module, one, _ = told(tmp_path)
    module.load_state_dict(one.weights)
    split = data.splits["train"]
    places = np.sort(np.random.default_rng(0).permutation(24)[:6])
    torch.testing.assert_close(one.sides[-1].source_train.logits, module.eval()(split.at(places)[:, None]))
    assert all(sides.source_train.label.tolist() == split.label[places].tolist() for sides in one.sides)


def test_the_model_is_as_a_validation_has_it_and_no_random_number_is_drawn(tmp_path):
    _, _, one, (before, after) = told(tmp_path)
    assert one.modes == [(False, False)] * 2
    for earlier, later in zip(before.states, after.states, strict=True):
        assert all(torch.equal(state, later[name]) for name, state in earlier.items())


@pytest.mark.parametrize(("limit", "images"), [(1, 8), (0.5, 0), (1.0, 8)])
def test_a_limit_of_validation_is_one_of_the_target_too(limit, images):
    """Of the 8 images in one batch: half of a batch is none, as Lightning has it."""
    loader = two_domains.noise(1, 4).plain_dataloader("val")
    assert sum(len(batch.label) for batch in domain_predictions.limited(loader, limit)) == images
