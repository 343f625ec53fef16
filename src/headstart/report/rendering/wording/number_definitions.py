"""Definitions of the numbers in a report."""

from __future__ import annotations

from headstart.report.analysis.study_records import Study
from headstart.report.statistics.seed_intervals import MATTERS, MATTERS_RATE

_TEXT = """
Intervals: 95 % t intervals; differences are paired by seed. Where runs of several seeds are measured on the
same images, an interval is over seeds and images crossed: it holds for other seeds and for other images of the
same kind. Where each seed has validation images of its own it is over seeds. Folds: the variance is corrected
for training sets that overlap (Nadeau and Bengio 2003). Runs without predictions of single images have
intervals over seeds alone. Where seeds differ by less than one validation image{image}, one image is taken as
their spread.

Verdicts: "yes" and "negative transfer": the t test, Holm-corrected over all arms within one question and one
benefit, is below the error that this look may spend. "no": two one-sided tests, corrected in the same way, show
that the difference is smaller than what matters ({matters} for accuracies and other shares, a factor of {rate}
for the slope). "yes, but small": there is a difference, and it is smaller than that. "undecided": all else; the
reason says how many seeds or images would decide. {verdicts} differences were tested.

Looks: A report is a look at the data. A study that fixed its seeds (fixed_seeds) has one look, with an error of
0.05. One that grows spends the same 0.05 step by step as seeds are added: 19 % of it by 3 seeds, 76 % by 5, 97 %
by 10. The same data reported twice are one look. The looks are stored in report.json.
"""


_CURVES = """
What the source's weights brought: The arm against its control: the same settings, data, seeds and budget with
random weights in place of the source's (control=true), or another arm with random weights that differs in
nothing else.

In practice: Each arm at its own best against the baseline at its own best, after the same number of trials
(tuning=equal). Arms that ran at one setting each have values and no verdict: weights, rates and head differ at
once.

Start: The level before the first optimizer step. For a fair comparison every head is set in closed form on the
features of the training images. The level with the head as it began is shown beside it: a random head says nothing
about the features.

Slope: How fast an arm goes through the levels that both arms pass: the time between the lower and the upper
fifth of their common range, on the curve made monotone. It does not change when a curve is shifted in time, and
assumes no form of it. Time is counted in steps at the full learning rate (the rates of all steps, summed, over
their peak), so that a schedule that slows down is no slope. A higher ceiling alone makes this speed higher. Not
measurable: no common levels, or the way through them takes about one evaluation.

Level at the end of the budget: The mean of the last 10 % of the evaluations, of at least 3. Also called the
asymptote; a curve that still rises has not reached one, and the report says so. The best checkpoint on test is
shown beside it.

Diverged: A run in which a loss or a weight became nan or infinite. It counts as the worst: at chance level, or at
the worst loss of the study. An arm with such a run gets no yes and cannot be best.

Sooner: Optimizer steps to a level of the baseline, ratio of the medians. Runs that never reach the level count as
later than all others.

Area, transfer ratio: The mean level over the range that all arms cover (trapezoids); its difference to the
baseline's, divided by the baseline's.

With the source: The same plus what the source model's own training took, once and in full, although other runs
share it.

Test metrics: Those of the checkpoint that val chose. Test images are measured once, at the end of a run.

Best arm: The highest mean level at the end. Decided where every arm was tuned equally and all its tests,
Holm-corrected over all pairs of arms, are below 0.05.
"""


_AXIS = """
Over an axis: The arms that differ in one key with three numbers or more as its values. Runs with a learning
curve are placed at their level at the end (the asymptote) and at their test metric. The words are the verdicts
on that level, against the baseline of the same setting and seeds. A baseline without a value of the key is drawn
over the whole axis.
"""


_ADAPTATION = """
Adaptation: Runs that learn from labelled images of the source and images of the target without labels. Their
val is the source's, so that they have no curve, start or slope to compare: what counts is the target's test
accuracy of the checkpoint that was chosen without a label of the target, against source_only with the same
seed. "gain" stands for yes and "no difference" for no; the least spread between seeds is one test image.

Oracle: The best of the epochs by the target's test labels (oracle=true). No way of choosing can know it; the
difference is the cost of choosing. It is in no verdict.
"""


def _said(study: Study) -> str:
    curves = study.sections or study.levels
    return _TEXT + (_CURVES if curves else "") + (_AXIS if study.axes else "") + (_ADAPTATION if study.adapted else "")


def definitions(study: Study) -> list[tuple[str, str]]:
    """(term, what it means), for a reader of the page."""
    text = _said(study).format(
        image=f" (1/{1 / study.resolution:.0f})" if study.resolution else "",
        verdicts=study.verdicts,
        matters=MATTERS,
        rate=MATTERS_RATE,
    )
    pairs = []
    for paragraph in text.strip().split("\n\n"):
        term, _, meaning = " ".join(paragraph.split()).partition(": ")
        pairs.append((term, meaning))
    return pairs
