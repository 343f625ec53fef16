"""The phases of a schedule follow each other through the run without a gap, and open what the schedule says."""

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuzzed import thorough
from headstart.unfreeze.phase_begins import Moment, RunLength, begins
from headstart.unfreeze.schedules.chain_thaw import ChainThaw
from headstart.unfreeze.schedules.explicit_phases import Explicit
from headstart.unfreeze.schedules.gradual import Gradual, GradualByFraction, GradualByPlateau, GradualBySteps
from headstart.unfreeze.schedules.lp_ft import LpFt
from headstart.unfreeze.schedules.schedule_phases import Plateau, checked
from headstart.unfreeze.schedules.shortened_phases import Shortened

pytestmark = pytest.mark.faults

parts = st.integers(1, 6).map(lambda stages: (*(f"s{number}" for number in range(stages)), "head"))


@st.composite
def plateaus(draw):
    least = draw(st.integers(0, 4))
    return Plateau(
        monitor="val/loss",
        mode=draw(st.sampled_from(["min", "max"])),
        patience=draw(st.integers(1, 4)),
        min_epochs=least,
        max_epochs=draw(st.none() | st.integers(max(1, least), 9)),
    )


lengths = st.integers(0, 12)
fractions = st.floats(0, 1)
schedules = st.one_of(
    st.builds(Gradual, first_epoch=st.none() | lengths, every_epochs=lengths),
    st.builds(GradualBySteps, first_step=lengths, every_steps=lengths),
    st.builds(GradualByFraction, first=fractions, every=fractions),
    st.builds(GradualByPlateau, until=plateaus()),
    st.builds(LpFt, until=plateaus()),
    st.builds(ChainThaw, until=plateaus()),
)
runs = st.builds(
    RunLength,
    steps_per_epoch=st.integers(1, 9),
    epochs=st.integers(1, 40),
    max_steps=st.just(math.inf) | st.integers(1, 200),
    validates_first=st.booleans(),
    validates_every=st.integers(1, 4),
    validations=st.integers(0, 3),
)


@given(schedules, parts, runs)
@thorough(2000)
def test_phases_begin_one_after_the_other_from_the_first_step_and_within_the_run(schedule, names, run):
    phases = checked(schedule.phases(names))
    found = begins(phases, run)
    assert found[0] == (Moment(0, 0), Moment(0, 0))
    for at in (0, 1):  # the earliest, the latest
        moments = [begin[at] for begin in found]
        there = [moment for moment in moments if moment is not None]
        assert moments[: len(there)] == there, "after one that never begins none does"
        assert there == sorted(there)
        assert all(moment.step < run.steps for moment in there)
        assert all(moment.epoch == moment.step // run.steps_per_epoch for moment in there)
    for begin in found:
        assert begin.latest is None or (begin.earliest is not None and begin.earliest <= begin.latest)


@given(schedules, parts)
@thorough(1000)
def test_what_is_open_are_parts_of_the_model_and_in_the_end_all_or_the_head_alone(schedule, names):
    phases = checked(schedule.phases(names))
    assert all(phase.trainable and set(phase.trainable) <= set(names) for phase in phases)
    is_never = getattr(schedule, "first_epoch", 0) is None
    assert phases[-1].trainable == (names[-1:] if is_never else names)
    if not isinstance(schedule, ChainThaw):  # what is open stays open, and opens from the head on
        for earlier, later in pairwise(phases):
            assert earlier.trainable == later.trainable[len(later.trainable) - len(earlier.trainable) :]


@given(st.none() | lengths, lengths, parts, st.integers(1, 40), st.integers(1, 9))
@thorough(2000)
def test_gradual_has_open_in_each_epoch_what_pen_and_paper_say(first, every, names, epochs, steps):
    phases = checked(Gradual(first_epoch=first, every_epochs=every).phases(names))
    begun = begins(phases, RunLength(steps_per_epoch=steps, epochs=epochs))
    stages = len(names) - 1
    for epoch in range(epochs):
        opened = max(
            len(phase.trainable) - 1
            for phase, begin in zip(phases, begun, strict=True)
            if begin.earliest is not None and begin.earliest.epoch <= epoch
        )
        if first is None or epoch < first:
            want = 0
        else:
            want = stages if every == 0 else min(stages, 1 + (epoch - first) // every)
        assert opened == want


@given(plateaus(), parts)
@thorough(300)
def test_chain_thaw_opens_the_head_each_stage_once_and_then_all(until, names):
    assert [phase.trainable for phase in ChainThaw(until=until).phases(names)] == [
        names[-1:], *((name,) for name in names[:-1]), names,
    ]  # fmt: skip


@given(st.lists(st.tuples(st.sampled_from(["epochs", "steps"]), lengths), max_size=5), parts, runs)
@thorough(1000)
def test_phases_by_steps_and_whole_epochs_end_where_their_lengths_add_up_to(given_lengths, names, run):
    listed = [{"trainable": names[-1], unit: length} for unit, length in given_lengths]
    phases = checked(Explicit(phases=[*listed, {"trainable": "all"}]).phases(names))
    step = 0
    for (unit, length), begin in zip(given_lengths, begins(phases, run)[1:], strict=True):
        if unit == "steps":
            step += length
        else:  # from mid-epoch on, a phase of epochs is looked at when the next ones begin
            at = step // run.steps_per_epoch
            step = run.steps_per_epoch * (at + max(length, int(step % run.steps_per_epoch > 0)))
        if step >= run.steps:
            assert begin == (None, None)
            break
        assert begin.earliest == begin.latest == Moment(step // run.steps_per_epoch, step)


@given(schedules, parts, st.floats(0.01, 1), st.integers(1, 40))
@thorough(1000)
def test_a_shorter_run_has_the_same_phases_with_the_same_parts_in_the_same_order(schedule, names, share, epochs):
    shorter = Shortened(schedule=schedule, share=share, epochs=epochs, validations=share)
    whole, short = checked(schedule.phases(names)), checked(shorter.phases(names))
    assert [phase.trainable for phase in short] == [phase.trainable for phase in whole]
    run = RunLength(steps_per_epoch=7, epochs=max(1, round(share * epochs)), validations=1)
    steps = [begin.earliest.step for begin in begins(short, run) if begin.earliest is not None]
    assert steps == sorted(steps)
