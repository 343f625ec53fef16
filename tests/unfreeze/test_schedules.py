"""Schedules give the phases that their papers or their settings say."""

import pytest

from headstart.types import UserError
from headstart.unfreeze.schedules.chain_thaw import ChainThaw
from headstart.unfreeze.schedules.constant import Constant
from headstart.unfreeze.schedules.explicit_phases import Explicit
from headstart.unfreeze.schedules.gradual import Gradual, GradualByFraction, GradualByPlateau, GradualBySteps
from headstart.unfreeze.schedules.lp_ft import LpFt
from headstart.unfreeze.schedules.schedule_phases import Phase, Plateau, checked

PARTS = ("s1", "s2", "s3", "s4", "head")
STALL = Plateau(monitor="val/loss", mode="min")


def opened(schedule):
    return ["+".join(phase.trainable) for phase in checked(schedule.phases(PARTS))]


def open_counts(schedule, epochs=8):
    """How many stages are trainable in each epoch, by the phases' lengths alone."""
    counts = []
    for phase in checked(schedule.phases(PARTS)):
        counts += [len(phase.trainable) - 1] * (epochs if phase.epochs is None else phase.epochs)
    return counts[:epochs]


@pytest.mark.parametrize(
    ("first_epoch", "every_epochs", "want"),
    [
        (0, 0, [4, 4, 4, 4, 4, 4, 4, 4]),  # all
        (None, 0, [0, 0, 0, 0, 0, 0, 0, 0]),  # never
        (None, 2, [0, 0, 0, 0, 0, 0, 0, 0]),
        (1, 2, [0, 1, 1, 2, 2, 3, 3, 4]),
        (0, 2, [1, 1, 2, 2, 3, 3, 4, 4]),
        (2, 1, [0, 0, 1, 2, 3, 4, 4, 4]),
        (3, 0, [0, 0, 0, 4, 4, 4, 4, 4]),  # the head first, then all at once
    ],
)
def test_gradual_opens_from_the_head_at_its_epochs(first_epoch, every_epochs, want):
    assert open_counts(Gradual(first_epoch=first_epoch, every_epochs=every_epochs)) == want


def test_steps_and_fractions_are_the_lengths_of_the_same_phases():
    by_steps = GradualBySteps(first_step=5, every_steps=7).phases(PARTS)
    by_fraction = GradualByFraction(first=0.2, every=0.1).phases(PARTS)
    assert [phase.steps for phase in by_steps] == [5, 7, 7, 7, None]
    assert [phase.fraction for phase in by_fraction] == [0.2, 0.1, 0.1, 0.1, None]
    assert [phase.trainable for phase in by_steps] == [phase.trainable for phase in by_fraction]


def test_a_plateau_opens_one_stage_more_each_time():
    assert opened(GradualByPlateau(until=STALL)) == [
        "head", "s4+head", "s3+s4+head", "s2+s3+s4+head", "s1+s2+s3+s4+head",
    ]  # fmt: skip


def test_lp_ft_probes_the_head_and_then_tunes_everything():
    assert opened(LpFt(until=STALL)) == ["head", "s1+s2+s3+s4+head"]


def test_chain_thaw_takes_the_head_each_stage_from_the_input_and_then_everything():
    assert opened(ChainThaw(until=STALL)) == ["head", "s1", "s2", "s3", "s4", "s1+s2+s3+s4+head"]


def test_the_whole_is_one_phase():
    assert opened(Constant()) == ["s1+s2+s3+s4+head"]
    assert opened(Constant(head_only=True)) == ["head"]


def test_a_file_of_phases_says_the_same_as_python(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text(
        "phases:\n"
        "- {trainable: [head], epochs: 2, lr: 1e-3}\n"  # YAML 1.1 reads 1e-3 as text
        "- {trainable: s4, until: {monitor: val/loss, mode: min, patience: 3}, lr: {s4: 1e-4}, warmup_steps: 5}\n"
        "- {trainable: all}\n"
    )
    assert Explicit.from_file(file).phases(PARTS) == (
        Phase(trainable=("head",), epochs=2, lr=0.001),
        Phase(
            trainable=("s4",),
            until=Plateau(monitor="val/loss", mode="min", patience=3),
            lr={"s4": 0.0001},
            warmup_steps=5,
        ),
        Phase(trainable=("all",)),
    )


@pytest.mark.parametrize(
    ("mode", "min_delta", "value", "best", "want"),
    [
        ("max", 0.0, 0.5, 0.4, True), ("max", 0.0, 0.4, 0.4, False), ("max", 0.1, 0.45, 0.4, False),
        ("min", 0.0, 0.3, 0.4, True), ("min", 0.1, 0.35, 0.4, False), ("max", 0.0, float("nan"), 0.4, False),
        ("min", 0.0, 0.5, 0.4, False), ("min", 0.0, 0.4, None, True), ("min", 0.0, float("nan"), None, False),
    ],
)  # fmt: skip
def test_an_improvement_is_more_than_min_delta_in_the_right_direction(mode, min_delta, value, best, want):
    assert Plateau(monitor="x", mode=mode, min_delta=min_delta).is_better(value, best) is want


@pytest.mark.parametrize(
    ("length", "text"),
    [
        ({"epochs": 0}, "0 epochs"), ({"epochs": 1}, "1 epoch"), ({"epochs": 2}, "2 epochs"),
        ({"steps": 0}, "0 steps"), ({"steps": 1}, "1 step"), ({"steps": 2}, "2 steps"),
        ({"fraction": 0.25}, "0.25 of the run"),
        ({"until": STALL}, "until val/loss stalls"), ({}, "to the end"),
        ({"until": Plateau(monitor="x", mode="max", max_epochs=9)}, "until x stalls, 9 epochs at most"),
    ],
)  # fmt: skip
def test_a_length_as_text(length, text):
    assert Phase(trainable=("head",), **length).length == text


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Explicit(phases=[]), "a schedule needs a phase"),
        (lambda: Explicit(phases=[{"trainable": "all"}] * 2), r"phase 1 \(all\) has no length, so those after"),
        (lambda: Explicit(phases=[{"trainable": "all", "epochs": 3}]), "the last phase lasts to the end of the run"),
        (lambda: Explicit(phases=[{"trainable": s, "steps": 1} for s in PARTS]), r"phase 5 \(head\) has a length"),
        (lambda: Explicit(phases=[{"trainable": "s1", "epochs": 3, "steps": 4}]), "length, s1 has epochs and steps"),
        (lambda: Explicit(phases=[{"trainable": []}]), "needs something trainable"),
        (lambda: Explicit(phases=[{"epochs": 3}]), "a phase needs `trainable`"),
        (lambda: Explicit(phases=[{"open": "s1", "epochs": 3}]), "`open` of a phase is called `trainable` now"),
        (lambda: Explicit(phases=[{"trainable": "all", "length": 3}]), "a phase has trainable, name.*got length"),
        (lambda: Explicit(phases=[{"trainable": "all", "until": {"monitor": "x"}}]), "until needs mode"),
        (lambda: Explicit(phases=[{"trainable": "all", "until": {"metric": "x"}}]), "until has monitor.*got metric"),
        (lambda: Explicit(phases=[{"trainable": "all", "lr": {"s4": {"a": 1}}}]), "this is no phase.*float"),
        (lambda: Explicit(phases=[{"trainable": 3}]), "this is no phase.*not iterable"),
        (lambda: Explicit(phases=[{"trainable": [None]}]), "trainable is a part or a list of parts, got"),
        (lambda: Explicit(phases=[{"trainable": "all", "until": "stalled"}]), "until is a mapping with monitor"),
        (lambda: Explicit(phases=[{"trainable": "all", "epochs": 1.5}]), "epochs of a phase is a whole number, got"),
        (lambda: Explicit(phases=[{"trainable": "all", "fraction": "half"}]), "this is no phase"),
        (lambda: Explicit(phases=[{"trainable": "all", "lr": 0}]), "a learning rate is more than 0"),
        (lambda: Explicit(phases=[{"trainable": "all", "lr": {"s4": -0.1}}]), "a learning rate is more than 0"),
        (lambda: Explicit(phases=[{"trainable": "all", "epochs": -1}]), "a length is 0 or more"),
        (lambda: LpFt(until=Plateau(monitor="x", mode="most")), "max or min, got 'most'"),
        (lambda: LpFt(until=Plateau(monitor="x", mode="max", min_epochs=3, max_epochs=2)), "not less than min_epochs"),
        (lambda: Explicit.from_file("/nowhere.yaml"), "cannot read the phases in /nowhere.yaml"),
    ],
)  # fmt: skip
def test_a_schedule_that_cannot_be_is_an_error(make, message):
    with pytest.raises(UserError, match=message):
        checked(make().phases(PARTS))
