"""A phase with return_to_best ends with the weights of its best validation."""

import pytorch_lightning as pl
import torch

from headstart.unfreeze.schedules.gradual import GradualByPlateau
from headstart.unfreeze.schedules.lp_ft import LpFt
from schedule_runs import STEPS, fitted, plateau, small


def same(left, right):
    return all(torch.equal(left[name], right[name]) for name in left)


def test_a_phase_ends_with_exactly_the_weights_and_statistics_of_its_best_validation():
    # of the head's phase the best is epoch 1; of second's phase epoch 4
    schedule = GradualByPlateau(until=plateau(return_to_best=True))
    seen = fitted(small(schedule, [0.5, 0.6, 0.4, 0.3, 0.7, 0.5, 0.5, 0.5]), epochs=8)
    assert [phase for phase, *_ in seen.steps[::STEPS]] == [0, 0, 0, 0, 1, 1, 1, 2]
    assert same(seen.weights[4], seen.validated[1])
    assert not same(seen.weights[4], seen.validated[3])
    assert same(seen.weights[7], seen.validated[4])
    assert same(seen.weights[6], seen.validated[5])  # not in between


def test_a_phase_that_never_beats_the_weights_it_began_with_returns_to_them():
    # the head's best is 0.9 at epoch 0; the next phase begins with it, and 0.7 is worse
    schedule = GradualByPlateau(until=plateau(return_to_best=True, patience=1))
    seen = fitted(small(schedule, [0.9, 0.5, 0.7, 0.6, 0.6, 0.6]))
    assert [phase for phase, *_ in seen.steps[::STEPS]] == [0, 0, 1, 2, 2, 2]
    assert same(seen.weights[2], seen.validated[0])
    assert same(seen.weights[3], seen.validated[0])


def test_a_return_forgets_the_momentum_of_the_way_from_there():
    class Fresh(pl.Callback):
        def on_train_batch_start(self, trainer, module, batch, batch_idx):
            if trainer.global_step in (2 * STEPS, 2 * STEPS + 1):
                held = [name for name, p in module.named_parameters() if p in trainer.optimizers[0].state]
                self.held = [*getattr(self, "held", []), held]

    fresh = Fresh()
    schedule = LpFt(until=plateau(return_to_best=True, patience=1))
    fitted(small(schedule, [0.9, 0.5]), epochs=3, more=[fresh])
    assert fresh.held[0] == []
    assert len(fresh.held[1]) == 10
