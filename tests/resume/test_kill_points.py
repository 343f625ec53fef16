"""A run that was killed anywhere, and went on, equals one that was not killed."""

import random

import pytest

from composed import TINY
from killed import command, said
from same_run import assert_same, run_of

RUN = [  # 20 steps in 5 epochs; dropout, BatchNorm, augmentation, OneCycle
    *TINY, "trainer.max_epochs=5", "mode=scratch", "trainable=schedule", "target.shots=6", "scheduler=one_cycle",
    "backbone._target_=resume_plugins.dropout_cnn", "augment@target.augment=affine", "callbacks=ema",
    "trainer.limit_val_batches=3", "trainer.limit_test_batches=2", "callbacks.figures=null",
    "callbacks.checkpoint.every_steps=3", "callbacks.checkpoint.min_interval_s=0",
    "+callbacks.stop._target_=resume_plugins.Stop",
]  # fmt: skip
GRADUAL = ["unfreeze=gradual", "unfreeze.first_epoch=1", "unfreeze.every_epochs=1"]
STEPS = ["unfreeze=steps", "unfreeze.first_step=3", "unfreeze.every_steps=5"]  # in mid-epoch, but for one
TWO = ["trainer=ddp_cpu", "target.batch_size=8"]
KINDS = {  # (ranks, workers)
    (1, 0): GRADUAL,
    (1, 2): [*STEPS, "target.num_workers=2"],
    (2, 0): [*STEPS, *TWO],
    (2, 2): [*GRADUAL, *TWO, "target.num_workers=2"],
}
BEGINS = {"gradual": (0, 4, 8, 12, 16), "steps": (0, 3, 8, 13, 18)}  # the phases' first steps
INSIDE = ("on_train_batch_start", "on_before_optimizer_step", "on_train_batch_end", "on_save_checkpoint")
ENDS = ("on_validation_batch_end", "on_validation_end", "on_train_epoch_end", "on_train_epoch_start")


def points():
    """20 of them: where each of five phases begins, and at a random step inside of it, for two kinds of run each."""
    chance = random.Random(3)
    found = []
    for phase in range(5):
        for number, (kind, overrides) in enumerate(KINDS.items()):
            begins = (*BEGINS["gradual" if overrides[0] == "unfreeze=gradual" else "steps"], 20)
            first, end = begins[phase : phase + 2]
            if (phase + number) % 2 == 0:
                at_epoch = first % 4 == 0 and first > 0
                found.append((*kind, chance.choice(ENDS) if at_epoch else "on_train_batch_start", first))
            else:
                step = chance.randrange(first + 1, end)
                hook = chance.choice(INSIDE)
                saved = [one for one in range(first + 1, end + 1) if one % 3 == 0 or one % 4 == 0]
                found.append((*kind, hook, saved[0] if hook == "on_save_checkpoint" else step))
    return found


QUICK = {(1, 0): 1}  # of this kind, the phase whose point is in `make test`
PARAMS = [
    pytest.param(*point, marks=[] if QUICK.get(point[:2]) == number // 4 else pytest.mark.slow)
    for number, point in enumerate(points())
]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The folder of the run that nobody kills, by its kind."""
    made = {}

    def of(*kind):
        if kind not in made:
            place = tmp_path_factory.mktemp("whole")
            assert command(place, *RUN, *KINDS[kind]) == 0, said(place)
            made[kind] = run_of(place)
        return made[kind]

    return of


@pytest.mark.parametrize(("ranks", "workers", "hook", "step"), PARAMS)
def test_a_killed_run_that_goes_on_ends_as_one_that_was_not_killed(whole, tmp_path, ranks, workers, hook, step):
    overrides = [*RUN, *KINDS[ranks, workers]]
    assert command(tmp_path, *overrides, stop=(hook, step)) == -9
    folder = run_of(tmp_path)
    has_checkpoint = (folder / "checkpoints" / "last.ckpt").exists()
    again = [f"resume={folder.relative_to(tmp_path)}"] if step % 2 and has_checkpoint else [*overrides, "resume=auto"]
    assert command(tmp_path, *again) == 0, said(tmp_path)
    assert run_of(tmp_path) == folder
    assert ("going on from" in said(tmp_path)) == has_checkpoint
    assert_same(folder, whole(ranks, workers))


@pytest.mark.slow
def test_a_run_may_be_killed_again_and_again(whole, tmp_path):
    overrides = [*RUN, *KINDS[1, 0], "resume=auto"]
    stops = {"on_train_batch_end": 4, "on_validation_end": 8, "on_train_batch_start": 11, "on_save_checkpoint": 12}
    for stop in (stops | dict.fromkeys(("on_train_end", "on_fit_end", "on_test_end"), 20)).items():
        assert command(tmp_path, *overrides, stop=stop) == -9
    assert command(tmp_path, *overrides) == 0
    assert_same(run_of(tmp_path), whole(1, 0))
