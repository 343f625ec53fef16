"""All phases of a schedule happen in a shorter run, at the same shares of it."""

import math

import pytest

from headstart.unfreeze.phase_begins import RunLength, begins
from headstart.unfreeze.schedules.chain_thaw import ChainThaw
from headstart.unfreeze.schedules.explicit_phases import Explicit
from headstart.unfreeze.schedules.gradual import Gradual, GradualByFraction, GradualBySteps
from headstart.unfreeze.schedules.schedule_phases import Plateau
from headstart.unfreeze.schedules.shortened_phases import Shortened

PARTS = ("stage1", "stage2", "stage3", "stage4", "head")
STEPS = 40  # an epoch
EPOCHS = 32
SCHEDULES = {
    "gradual": Gradual(first_epoch=1, every_epochs=2, warmup_steps=8),
    "all at once": Gradual(first_epoch=3, every_epochs=0),
    "steps": GradualBySteps(first_step=20, every_steps=60),
    "fraction": GradualByFraction(first=0.1, every=0.2),
    "explicit": Explicit(
        phases=[
            {"trainable": ["head"], "epochs": 2},
            {"trainable": ["stage4"], "steps": 80, "warmup_steps": 4},
            {"trainable": ["stage3"], "fraction": 0.25},
            {"trainable": "all"},
        ]
    ),
}


def moments(schedule, epochs):
    run = RunLength(steps_per_epoch=STEPS, epochs=epochs, validates_first=True)
    return [begin.latest.step if begin.latest else math.inf for begin in begins(schedule.phases(PARTS), run)]


def test_a_phase_that_is_longer_than_the_run_is_all_of_the_short_run():
    long = Shortened(schedule=Gradual(first_epoch=40, every_epochs=0), share=0.5, epochs=EPOCHS, validations=0.5)
    assert long.phases(PARTS)[0].fraction == 1


@pytest.mark.parametrize("share", [0.25, 0.5])
@pytest.mark.parametrize("name", SCHEDULES)
def test_each_phase_begins_at_the_same_share_of_the_short_run(name, share):
    full = moments(SCHEDULES[name], EPOCHS)
    short = Shortened(schedule=SCHEDULES[name], share=share, epochs=EPOCHS, validations=share)
    found = moments(short, round(share * EPOCHS))
    assert len(found) == len(full)
    assert found == [pytest.approx(share * step, abs=2) for step in full]  # phases are whole numbers of steps
    assert len(set(found)) == len(found)


def test_a_schedule_on_plateaus_comes_to_its_end_in_the_short_run_where_it_does_in_the_full_one():
    until = Plateau(monitor="val/accuracy", mode="max", patience=4, max_epochs=4)
    schedule = ChainThaw(until=until, warmup_steps=2)
    short = Shortened(schedule=schedule, share=0.25, epochs=EPOCHS, validations=0.25)
    assert moments(schedule, EPOCHS)[-1] == 20 * STEPS
    assert moments(short, EPOCHS // 4)[-1] == 5 * STEPS
    (first, *_) = short.phases(PARTS)
    assert (first.until.patience, first.until.max_epochs, first.warmup_steps) == (1, 1, 1)


def test_where_the_run_is_a_number_of_steps_a_phase_of_epochs_has_its_share_of_them_and_one_at_least():
    short = Shortened(schedule=SCHEDULES["gradual"], share=0.5, epochs=None, validations=1.0)
    assert [phase.epochs for phase in short.phases(PARTS)] == [1, 1, 1, 1, None]
    assert [phase.warmup_steps for phase in short.phases(PARTS)] == [4] * 5


def test_what_is_never_open_stays_closed():
    short = Shortened(schedule=Gradual(first_epoch=None, every_epochs=2), share=0.5, epochs=8, validations=0.5)
    assert short.phases(PARTS) == Gradual(first_epoch=None, every_epochs=2).phases(PARTS)
