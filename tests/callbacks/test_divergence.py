"""Is a run that diverged told from a sound one, whatever was not finite, whenever, and on whichever rank?"""

import json
import math

import pytest
import torch
from pytorch_lightning import Callback

import diverging
from diverging import EPOCH, Line, fitted
from two_processes import run_both


class SaveAt(Callback):
    def __init__(self, path, step):
        self.path, self.step = path, step

    def on_train_batch_end(self, trainer, *_):
        if trainer.global_step == self.step:
            trainer.save_checkpoint(self.path)


class Spoil(Callback):
    """Makes a weight infinite with the last step."""

    def on_train_end(self, trainer, module):
        with torch.no_grad():
            module.layer.bias.fill_(math.inf)


def test_a_sound_run_is_finished_and_warns_of_nothing(tmp_path):
    divergence = fitted(tmp_path, Line())
    assert (divergence.first, divergence.state, divergence.warning("optimizer.lr")) == (None, "finished", "")


@pytest.mark.parametrize(
    ("bad", "at", "first"),
    [
        (math.nan, {"train_at": 0}, ("the training loss", 1)),
        (math.inf, {"train_at": EPOCH - 1}, ("the training loss", 1)),  # an epoch's last step
        (-math.inf, {"train_at": EPOCH}, ("the training loss", 2)),
        (math.nan, {"val_at": (EPOCH, 0)}, ("the val loss", 1)),  # one batch of two
        (-math.inf, {"val_at": (3 * EPOCH, 1)}, ("the val loss", 3)),
    ],
)
def test_one_loss_that_is_not_finite_is_enough_though_all_after_it_are(tmp_path, bad, at, first):
    divergence = fitted(tmp_path, Line(bad=bad, **at))
    assert divergence.state == "diverged"
    assert tuple(divergence.first) == first
    assert divergence.warning("optimizer.lr") == (
        f"training diverged: {first[0]} was infinite or nan for the first time in epoch {first[1]}; the figures do not "
        "say how good this kind of training is; try a smaller optimizer.lr, trainer.gradient_clip_val=1 or "
        "scheduler=warmup_cosine"
    )


def test_a_weight_that_is_not_finite_at_the_end_is_seen_where_no_loss_was_of_it(tmp_path):
    assert tuple(fitted(tmp_path, Line(), Spoil()).first) == ("a weight", 3)


def test_the_loss_that_others_get_is_not_changed(tmp_path):
    class Losses(Callback):
        def __init__(self):
            self.all = []

        def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
            self.all.append(outputs["loss"])

    losses = Losses()
    fitted(tmp_path, Line(), losses)
    assert len({float(loss) for loss in losses.all}) == 3 * EPOCH
    assert losses.all == sorted(losses.all, reverse=True)


@pytest.mark.parametrize("step", [1, EPOCH + 2])
@pytest.mark.filterwarnings("ignore:You're resuming from a checkpoint that ended before the epoch")
def test_a_resumed_run_remembers_a_loss_within_the_epoch_that_it_was_saved_in(tmp_path, step):
    path = tmp_path / "it.ckpt"
    whole = fitted(tmp_path, Line(train_at=step - 1), SaveAt(path, step))
    again = fitted(tmp_path, Line(), checkpoint=path)
    assert again.first == whole.first
    assert again.state == "diverged"


@pytest.mark.slow
def test_a_loss_on_any_rank_counts_on_all(tmp_path):
    run_both(diverging.__file__, tmp_path, seconds=300)
    for rank in range(2):
        assert json.loads((tmp_path / f"{rank}.json").read_text()) == ["the training loss", 2]
