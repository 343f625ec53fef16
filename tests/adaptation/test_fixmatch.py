"""FixMatch: the term is the paper's, and the second view is a function of seed, epoch and image."""

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, softmax

from composed import composed, trained
from headstart.adaptation.adaptation import Side
from headstart.adaptation.fixmatch import FixMatch
from headstart.runs.model_parts.assembly import assembled
from headstart.types import UserError
from loss_cases import C, D

RUN = ["adaptation=fixmatch", "mode=scratch", "source.characters=digits", "target.shots=null", "target_labels=2"]


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def fixmatch(confidence):
    return FixMatch(weight=1.0, ramp="constant", confidence=confidence, strong=lambda image, _: image)


@pytest.mark.parametrize("confidence", [0.0, 0.7])
def test_the_strong_view_learns_the_class_that_the_weak_one_is_sure_of(confidence):
    weak, strong = (2 * drawn(40, C)).requires_grad_(), drawn(40, C, seed=1).requires_grad_()
    target = Side(drawn(40, D), weak, None, None, strong)
    term = fixmatch(confidence)(source=target, target=target, head=None, strength=0.5)
    p, said = softmax(weak.detach().numpy(), axis=1), weak.detach().numpy().argmax(axis=1)
    used = p.max(axis=1) >= confidence
    losses = -log_softmax(strong.detach().numpy(), axis=1)[np.arange(40), said]
    assert term.item() == pytest.approx(0.5 * (used * losses).mean(), rel=1e-5)
    term.backward()
    assert weak.grad is None
    assert torch.equal(strong.grad.abs().sum(dim=1) > 0, torch.from_numpy(used))


def test_what_frozen_stages_give_has_no_second_view_which_is_one_message():
    side = Side(drawn(4, D), drawn(4, C), None)
    with pytest.raises(UserError, match="try feature_cache=off"):
        fixmatch(0.9)(source=side, target=side, head=None, strength=1.0)


def views(*overrides, epoch=0):
    data = assembled(composed(*RUN, *overrides)).data
    loader = data.train_dataloader()
    loader.set_epoch(epoch)
    return [batch for batch, _ in zip(loader, range(3), strict=False)]


def test_only_unlabelled_target_images_have_a_view_and_it_is_another_one():
    for batch in views():
        assert batch.view is None
        assert batch.labelled.view is None
        assert batch.paired.view.shape == batch.paired.image.shape
        plain = batch.paired.image.float() / 255
        assert not torch.allclose((batch.paired.view * 0.5 + 0.5), plain, atol=0.1)


def test_the_view_depends_on_seed_epoch_and_image_alone():
    def seen(batches):
        return {int(at): view for one in batches for at, view in zip(one.paired.position, one.paired.view, strict=True)}

    first, again = seen(views()), seen(views("target.batch_size=5"))
    shared = first.keys() & again.keys()
    assert len(shared) > 3
    assert all(torch.equal(first[at], again[at]) for at in shared)
    later = seen(views(epoch=1))
    assert not all(torch.equal(first[at], later[at]) for at in first.keys() & later.keys())


def test_the_view_has_random_numbers_of_its_own():
    """With the same augmentation for both, the two differ."""
    batch = views("augment@target.augment=affine", "augment@adaptation.strong=affine")[0]
    assert not torch.equal(batch.paired.image, batch.paired.view)


def test_a_run_logs_how_many_images_are_used(tmp_path):
    trained(*RUN, "trainer.max_epochs=1", "trainer.limit_train_batches=3", "logger=csv", folder=tmp_path / "run")
    header = (tmp_path / "run" / "metrics.csv").read_text().splitlines()[0].split(",")
    assert {"train/used_share", "train/agreement", "train/target_labels"} <= set(header)
