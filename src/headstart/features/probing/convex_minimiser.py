"""Minimisation of many convex functions at once."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

MEMORY = 10  # pairs of steps and changes of slope
ENOUGH = 1e-4  # of the promised decrease, for a step to be taken (Armijo)
SHORTEST = 1e-10  # a step shorter than this share makes no difference: rounding is all that is left

# points (A, P) of the functions `problems` (A,) -> their values (A,) and slopes (A, P)
Functions = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


def minimised(functions: Functions, start: Tensor, *, tolerance: float, iterations: int) -> tuple[Tensor, Tensor]:
    """The minima of G functions that know nothing of each other, found at the same time.

    start (G, P) -> points (G, P), and (G,) whether each has no entry of its slope above the tolerance (or no step
    that would make it lower). Each function has its own L-BFGS (Nocedal & Wright 2006, algorithms 7.4 and 7.5) and
    step length; only evaluations are shared, and a function that is done takes part in none.
    """
    points, done = start.clone(), torch.zeros(len(start), dtype=torch.bool, device=start.device)
    problems = torch.arange(len(start), device=start.device)
    x = points[problems]
    value, slope = functions(x, problems)
    steps: list[Tensor] = []  # (A, P) each, the newest last
    changes: list[Tensor] = []
    for _ in range(iterations):
        at_minimum = slope.abs().amax(dim=1) <= tolerance
        if at_minimum.any():
            points[problems[at_minimum]], done[problems[at_minimum]] = x[at_minimum], True
            left = ~at_minimum
            if not left.any():
                return points, done
            problems, x, value, slope = problems[left], x[left], value[left], slope[left]
            steps, changes = [s[left] for s in steps], [y[left] for y in changes]
        direction = -_times_inverse(slope, steps, changes)
        new_x, new_value, new_slope, moved = _along(functions, problems, x, value, slope, direction)
        if not moved.all():
            points[problems[~moved]], done[problems[~moved]] = x[~moved], True
            problems, x, value, slope = problems[moved], x[moved], value[moved], slope[moved]
            new_x, new_value, new_slope = new_x[moved], new_value[moved], new_slope[moved]
            steps, changes = [s[moved] for s in steps], [y[moved] for y in changes]
            if not len(problems):
                return points, done
        steps, changes = [*steps, new_x - x][-MEMORY:], [*changes, new_slope - slope][-MEMORY:]
        x, value, slope = new_x, new_value, new_slope
    points[problems] = x
    done[problems] = slope.abs().amax(dim=1) <= tolerance
    return points, done


def _times_inverse(slope: Tensor, steps: list[Tensor], changes: list[Tensor]) -> Tensor:
    """The inverse second derivative, as far as the steps have shown it, times the slope (A, P)."""
    q, steps_back = slope, []
    for s, y in zip(reversed(steps), reversed(changes), strict=True):
        rho = 1 / _dot(s, y)
        alpha = rho * _dot(s, q)
        q = q - alpha * y
        steps_back.append((s, y, rho, alpha))
    if steps:
        q = q * (_dot(steps[-1], changes[-1]) / _dot(changes[-1], changes[-1]))
    for s, y, rho, alpha in reversed(steps_back):
        q = q + s * (alpha - rho * _dot(y, q))
    return q


def _along(
    functions: Functions, problems: Tensor, x: Tensor, value: Tensor, slope: Tensor, direction: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Points further along, their values and slopes, and (A,) which of them are better enough.

    The full step first, then half of it for those that it does not suit, and so on.
    """
    promised = _dot(slope, direction)[:, 0]
    length = torch.ones_like(value)
    new_x = x + direction
    new_value, new_slope = functions(new_x, problems)
    while True:
        good = new_value <= value + ENOUGH * length * promised
        again = (~good & (length > SHORTEST)).nonzero()[:, 0]
        if not len(again):
            # a convex function whose slope has not changed along the step has no use for it
            return new_x, new_value, new_slope, good & (_dot(new_x - x, new_slope - slope)[:, 0] > 0)
        length[again] /= 2
        new_x[again] = x[again] + length[again, None] * direction[again]
        new_value[again], new_slope[again] = functions(new_x[again], problems[again])


def _dot(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).sum(dim=1, keepdim=True)
