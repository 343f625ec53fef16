"""An optimizer step that several batches share equals the step of one large batch."""

from types import SimpleNamespace

import pytest
import pytorch_lightning as pl
import torch

import step_ranks
from headstart.modules.optimization.batch_weighting import step_shares
from step_ranks import stepped
from two_processes import run_both

IMAGES = 30  # 3 of each class


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return stepped(tmp_path_factory.mktemp("whole"), f"target.batch_size={IMAGES}")


@pytest.mark.parametrize(
    ("batch_size", "accumulated"),
    [
        (10, 3),
        (10, 6),  # over 3 batches: the end of the epoch cuts it
        (12, 3),  # 12, 12 and 6 images
        (12, 5),
        (7, 5),  # 7, 7, 7, 7 and 2
    ],
)
def test_a_step_over_several_batches_is_that_of_all_their_images_at_once(tmp_path, whole, batch_size, accumulated):
    found = stepped(tmp_path, f"target.batch_size={batch_size}", accumulate_grad_batches=accumulated)
    torch.testing.assert_close(found, whole, rtol=0, atol=1e-6)


@pytest.mark.parametrize("loss", [[], ["loss@module.loss=focal", "module.label_smoothing=0.1"]])
def test_weighted_classes_count_in_a_step_over_several_batches_as_in_one(tmp_path, loss):
    weighted = ["module.class_weights={8: 5, 3: 0.2}", *loss]
    want = stepped(tmp_path, *weighted, f"target.batch_size={IMAGES}")
    found = stepped(tmp_path, *weighted, "target.batch_size=12", accumulate_grad_batches=3)
    torch.testing.assert_close(found, want, rtol=0, atol=1e-6)


@pytest.mark.parametrize("accumulated", [3, 6])
def test_each_of_two_tasks_counts_its_own_images(tmp_path, accumulated):
    """20 images of the source in batches of 8, 8 and 4, beside 30 of the target in batches of 10."""
    both = ["mode=multi_task", "source.characters=digits", "source.per_class=2"]
    want = stepped(tmp_path, *both, "target.batch_size=30", "source.batch_size=20")
    small = [*both, "target.batch_size=10", "source.batch_size=8"]
    found = stepped(tmp_path, *small, accumulate_grad_batches=accumulated)
    torch.testing.assert_close(found, want, rtol=0, atol=1e-6)


def test_a_pull_on_the_weights_counts_once_in_a_step(tmp_path):
    pulled = ["regularizer=l2_sp", "regularizer.alpha=0.5"]
    want = stepped(tmp_path, *pulled, f"target.batch_size={IMAGES}")
    found = stepped(tmp_path, *pulled, "target.batch_size=12", accumulate_grad_batches=6)
    torch.testing.assert_close(found, want, rtol=0, atol=1e-6)


def test_batches_of_unknown_size_count_alike_and_the_last_of_an_epoch_as_a_whole_step():
    trainer = SimpleNamespace(accumulate_grad_batches=2, train_dataloader=[], world_size=1, num_training_batches=3)
    assert [step_shares(trainer, number, 8) for number in range(3)] == [{"image": 1}, {"image": 1}, {"image": 2}]


def test_without_accumulation_the_last_batch_of_an_epoch_is_a_step_of_its_own_and_nothing_is_weighted(tmp_path):
    class Shares(pl.Callback):
        def __init__(self):
            self.all = []

        def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
            self.all.append((len(batch.label), step_shares(trainer, batch_idx, len(batch.label))))

    seen = Shares()
    stepped(tmp_path, "target.batch_size=20", callbacks=[seen])
    assert seen.all == [(20, None), (10, None)]


@pytest.mark.slow
def test_two_devices_step_as_one_however_their_batches_are_cut(tmp_path, whole):
    run_both(step_ranks.__file__, tmp_path, seconds=300)
    for name in ("accumulated", "unequal"):
        torch.testing.assert_close(torch.load(tmp_path / f"{name}.pt"), whole, rtol=0, atol=1e-6)
    want = stepped(tmp_path / "weighted", "module.class_weights={8: 5, 3: 0.2}", f"target.batch_size={IMAGES}")
    torch.testing.assert_close(torch.load(tmp_path / "weighted.pt"), want, rtol=0, atol=1e-6)
