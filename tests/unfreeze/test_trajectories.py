"""A run trains what the plan says, when it says so, and at the rates that it says."""

import math

import pytest
import pytorch_lightning as pl
import torch

from composed import CONF
from headstart.unfreeze.schedules.explicit_phases import Explicit
from headstart.unfreeze.schedules.gradual import Gradual, GradualByPlateau, GradualBySteps
from schedule_runs import KNOWN, PLATEAUS, STAGES, STEPS, agrees, fitted, planned, plateau, small

# ---------------------------------------------------------------------- the plan is what happens


def test_every_schedule_of_conf_is_followed_here():
    assert {*KNOWN, *PLATEAUS} == {path.stem for path in (CONF / "unfreeze").glob("*.yaml")}


@pytest.mark.parametrize("kind", KNOWN)
def test_a_run_opens_at_each_step_what_its_plan_says_at_the_rates_that_it_says(kind):
    module = small(KNOWN[kind])
    plan = planned(module)
    starts = [row.begins.earliest.step for row in plan.rows if row.begins.earliest is not None]
    assert len(starts) > 2
    assert agrees(fitted(module), plan, lambda step: sum(start <= step for start in starts) - 1)


def test_the_boundaries_of_those_runs_by_hand():
    """24 steps, 4 an epoch."""
    starts = {kind: [row.begins.earliest for row in planned(small(schedule)).rows] for kind, schedule in KNOWN.items()}
    assert starts == {
        "gradual": [(0, 0), (1, 4), (3, 12)],
        "steps": [(0, 0), (0, 3), (2, 10)],
        "fraction": [(0, 0), (1, 6), (3, 13)],  # 0.25 x 24 = 6, 0.3 x 24 = 7.2
        "sandwich": [(0, 0), (1, 4), (3, 12), (4, 18)],
    }


def test_stages_open_at_the_start_of_their_epoch_and_not_one_late():
    seen = fitted(small(Gradual(first_epoch=1, every_epochs=2)))
    head, second, everything = ("head",), ("second", "head"), ("first", "second", "head")
    assert seen.epochs == [head, second, second, everything, everything, everything]


def test_steps_are_those_of_the_optimizer_also_where_it_takes_one_every_two_batches():
    seen = fitted(small(GradualBySteps(first_step=1, every_steps=2)), epochs=2, accumulate=2)
    assert [phase for phase, *_ in seen.steps] == [0, 0, 1, 1, 1, 1, 2, 2]


# Each validation is at the end of an epoch, the first is the best so far, and what stalls ends at the next start.
# A phase's first figure is that of its own start: the last one before it.
@pytest.mark.parametrize(
    ("kind", "figures", "phases"),
    [
        # better at epoch 1, then not at 2 and 3: second opens at 4; not better than 0.55 at 4 and 5: first at 6
        ("plateau", [0.5, 0.6, 0.6, 0.55, 0.55, 0.5, 0.5, 0.5], [0, 0, 0, 0, 1, 1, 2, 2]),
        ("plateau", [0.5, 0.4, 0.3, 0.2, 0.1, 0.0, 0.0, 0.0], [0, 0, 0, 1, 1, 2, 2, 2]),
        ("plateau", [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8], [0, 0, 0, 0, 0, 0, 0, 0]),
        ("plateau", [0.5, 0.4, 0.6, 0.5, 0.7, 0.6, 0.8, 0.7], [0, 0, 0, 0, 0, 0, 0, 0]),  # never two in a row
        ("lp_ft", [0.5, 0.6, 0.6, 0.55, 0.55, 0.5, 0.5, 0.5], [0, 0, 0, 0, 1, 1, 1, 1]),
        # head, first, second, all; patience 1
        ("chain_thaw", [0.5, 0.5, 0.6, 0.6, 0.5, 0.6, 0.6, 0.6], [0, 0, 1, 1, 2, 3, 3, 3]),
    ],
)
def test_a_plateau_ends_a_phase_at_the_epoch_after_the_figure_has_stalled(kind, figures, phases):
    module = small(PLATEAUS[kind], figures)
    plan = planned(module, epochs=8)
    assert agrees(fitted(module, epochs=8), plan, lambda step: phases[step // STEPS])


@pytest.mark.parametrize(
    ("settings", "figures", "phases"),
    [
        ({"min_epochs": 4}, [0.5, 0.4, 0.3, 0.2, 0.1, 0.0], [0, 0, 0, 0, 1, 1]),
        ({"max_epochs": 2}, [0.1, 0.2, 0.3, 0.4, 0.5, 0.6], [0, 0, 1, 1, 2, 2]),
        ({"min_delta": 0.1, "patience": 1}, [0.5, 0.59, 0.65, 0.7, 0.7, 0.7], [0, 0, 1, 2, 2, 2]),
        ({"mode": "min", "patience": 1}, [0.5, 0.4, 0.45, 0.4, 0.4, 0.4], [0, 0, 0, 1, 1, 2]),
        ({"patience": 1}, [math.nan, 0.5, 0.4, 0.3, 0.2, 0.1], [0, 1, 1, 2, 2, 2]),
    ],
)
def test_the_lengths_of_a_plateaus_phase_and_what_counts_as_better(settings, figures, phases):
    module = small(GradualByPlateau(until=plateau(**settings)), figures)
    seen = fitted(module)
    assert [phase for phase, *_ in seen.steps[::STEPS]] == phases


@pytest.mark.parametrize(
    ("figures", "which"), [([0.9 - 0.1 * n for n in range(12)], "earliest"), ([0.1 * n for n in range(12)], "latest")]
)
def test_the_first_and_the_last_moment_that_a_plan_gives_for_a_plateau_are_reached(figures, which):
    module = small(GradualByPlateau(until=plateau(max_epochs=4)), figures)
    plan = planned(module, epochs=12)
    starts = [getattr(row.begins, which).step for row in plan.rows]
    assert starts == {"earliest": [0, 12, 20], "latest": [0, 16, 32]}[which]
    assert agrees(fitted(module, epochs=12), plan, lambda step: sum(start <= step for start in starts) - 1)


# ---------------------------------------------------------------------- rates


def test_what_opens_warms_up_from_its_opening_step_on_and_what_was_open_does_not():
    schedule = Explicit(phases=[{"trainable": ["head"], "steps": 3}, {"trainable": "all", "warmup_steps": 4}])
    seen = fitted(small(schedule), epochs=3)
    assert [rates["head"][0] for rates in seen.rates] == [0.1] * 12
    # 0.05 x 1/4, 2/4, 3/4, 1 at steps 3 to 6
    assert [rates["second"][0] for rates in seen.rates[3:]] == pytest.approx([0.0125, 0.025, 0.0375, *[0.05] * 6])
    assert [rates["first"][0] for rates in seen.rates[3:5]] == pytest.approx([0.00625, 0.0125])


def test_what_opens_again_warms_up_again():
    schedule = Explicit(
        phases=[
            {"trainable": ["head"], "steps": 2},
            {"trainable": ["second"], "steps": 2, "warmup_steps": 2},
            {"trainable": ["second", "head"], "warmup_steps": 2},
        ]
    )
    seen = fitted(small(schedule), epochs=2)
    assert [rates.get("head", (None,))[0] for rates in seen.rates[:7]] == [0.1, 0.1, None, None, 0.05, 0.1, 0.1]
    assert [rates["second"][0] for rates in seen.rates[2:7]] == [0.025, 0.05, 0.05, 0.05, 0.05]


def test_a_phases_rate_is_the_heads_with_the_ratios_kept_or_each_parts_own():
    phases = [
        {"trainable": "all", "steps": 2, "lr": 0.04},
        {"trainable": "all", "steps": 2, "lr": {"first": 0.3}},
        {"trainable": "all"},
    ]
    seen = fitted(small(Explicit(phases=phases)), epochs=2)
    # the optimizer has 0.1 for the head, 0.05 for second, 0.025 for first
    want = [(0.01, 0.02, 0.04)] * 2 + [(0.3, 0.05, 0.1)] * 2 + [(0.025, 0.05, 0.1)] * 4
    assert [tuple(rates[part][0] for part in STAGES) for rates in seen.rates] == [pytest.approx(one) for one in want]


# ---------------------------------------------------------------------- what is closed again


def test_what_is_closed_again_has_no_gradient_and_stays_equal_to_the_bit_under_momentum_and_weight_decay():
    class Gradients(pl.Callback):
        def on_train_batch_start(self, trainer, module, batch, batch_idx):
            if trainer.global_step == 6:
                assert all(p.grad is None for part in (module.first, module.second) for p in part.parameters())
                assert all("momentum_buffer" in trainer.optimizers[0].state[p] for p in module.first.parameters())

    schedule = Explicit(
        phases=[
            {"trainable": "all", "steps": 6},
            {"trainable": ["head"], "epochs": 2},
            {"trainable": ["first", "head"]},
        ]
    )
    seen = fitted(small(schedule), epochs=4, more=[Gradients()])
    closed, still, opened = seen.validated[1:]  # the phases' boundaries: in the middle of epoch 1, before epoch 3
    kept = [name for name in closed if not name.startswith("head")]
    assert all(torch.equal(closed[name], still[name]) for name in kept)
    assert not torch.equal(closed["head.weight"], still["head.weight"])
    assert {name.partition(".")[0] for name in kept if not torch.equal(still[name], opened[name])} == {"first"}
