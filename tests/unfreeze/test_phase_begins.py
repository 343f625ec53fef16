"""Phases begin when the schedule says, as far as that is known before a run."""

import pytest

from headstart.types import UserError
from headstart.unfreeze.phase_begins import RunLength, begins
from headstart.unfreeze.schedules.schedule_phases import Phase, Plateau

END = Phase(trainable=("all",))


def of(**length):
    return Phase(trainable=("head",), **length)


def stall(**settings):
    return of(until=Plateau(monitor="val/loss", mode="min", **settings))


@pytest.mark.parametrize(
    ("phases", "want"),
    [
        ([of(epochs=2), of(epochs=3), END], [(0, 0), (2, 20), (5, 50)]),
        ([of(steps=7), of(steps=13), END], [(0, 0), (0, 7), (2, 20)]),
        ([of(fraction=0.25), of(fraction=0.5), END], [(0, 0), (2, 25), (7, 75)]),
        ([of(epochs=0), of(steps=0), END], [(0, 0), (0, 0), (0, 0)]),
        ([of(steps=7), of(epochs=1), END], [(0, 0), (0, 7), (1, 10)]),  # what is left of an epoch is one
        ([of(steps=7), of(epochs=0), END], [(0, 0), (0, 7), (1, 10)]),  # looked at when an epoch starts
        ([of(steps=10), of(epochs=0), END], [(0, 0), (1, 10), (1, 10)]),
        ([of(epochs=9), of(steps=10), END], [(0, 0), (9, 90), None]),  # the run ends after epoch 9
        ([of(epochs=11), of(epochs=1), END], [(0, 0), None, None]),
    ],
)
def test_a_phase_begins_when_the_one_before_it_has_had_its_length(phases, want):
    found = begins(phases, RunLength(steps_per_epoch=10, epochs=10))
    assert [begin.earliest for begin in found] == [begin.latest for begin in found] == want


@pytest.mark.parametrize(
    ("settings", "run", "earliest", "latest"),
    [
        ({"patience": 2, "max_epochs": 5}, {}, 3, 5),  # the first validation is the best one so far, two do not beat it
        ({"patience": 2, "max_epochs": 5}, {"validates_first": True}, 2, 5),
        ({"patience": 2, "max_epochs": 5, "min_epochs": 4}, {}, 4, 5),
        ({"patience": 4, "max_epochs": 3}, {}, 3, 3),
        ({"patience": 1}, {"validates_first": True}, 1, None),
        ({"patience": 2}, {"validates_every": 2}, 6, None),
        ({"patience": 2, "max_epochs": 9}, {"validations": 2}, 2, 9),
        ({"patience": 2, "max_epochs": 9}, {"validations": 0}, 9, 9),
        ({"patience": 30}, {}, None, None),
    ],
)
def test_a_plateau_ends_between_never_getting_better_and_always(settings, run, earliest, latest):
    begin = begins([stall(**settings), END], RunLength(steps_per_epoch=10, epochs=20, **run))[1]
    assert begin.earliest == (earliest and (earliest, 10 * earliest))
    assert begin.latest == (latest and (latest, 10 * latest))


def test_after_a_plateau_both_moments_move_on_and_the_figure_of_its_end_is_the_next_ones_first():
    phases = [stall(patience=2, max_epochs=5), of(steps=15), stall(patience=2, max_epochs=5), END]
    found = begins(phases, RunLength(steps_per_epoch=10, epochs=11))
    assert found[1] == ((3, 30), (5, 50))
    assert found[2] == ((4, 45), (6, 65))
    assert found[3] == ((6, 60), None)  # two validations after step 45; the latest would be epoch 11


@pytest.mark.parametrize(("before", "patience", "want"), [(1, 1, 2), (3, 2, 5), (5, 3, 8)])
def test_a_plateau_after_some_epochs_lasts_as_many_as_its_patience(before, patience, want):
    found = begins(
        [of(epochs=before), stall(patience=patience, max_epochs=4), END], RunLength(steps_per_epoch=10, epochs=20)
    )
    assert found[2] == ((want, 10 * want), (before + 4, 10 * (before + 4)))


def test_a_validation_before_a_phase_begins_is_none_of_the_phase():
    """Two an epoch, after steps 5 and 10; the phase begins at step 7, so its second one is that after step 15."""
    run = RunLength(steps_per_epoch=10, epochs=20, validations=2, validates_first=True)
    assert begins([of(steps=7), stall(patience=2, max_epochs=9), END], run)[2].earliest == (2, 20)
    assert begins([of(steps=4), stall(patience=2, max_epochs=9), END], run)[2].earliest == (1, 10)


def test_a_run_ends_with_its_epochs_or_its_steps_whichever_comes_first():
    assert RunLength(steps_per_epoch=10, epochs=3).end == (3, 30)
    assert RunLength(steps_per_epoch=10, epochs=3, max_steps=14).end == (1, 14)
    assert RunLength(steps_per_epoch=10).end is None
    assert begins([of(epochs=1000), END], RunLength(steps_per_epoch=10))[1].latest == (1000, 10_000)


def test_a_fraction_of_a_run_without_an_end_is_an_error():
    with pytest.raises(UserError, match="known length"):
        begins([of(fraction=0.5), END], RunLength(steps_per_epoch=10))
