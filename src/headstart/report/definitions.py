"""How are the numbers of the report defined?"""

from __future__ import annotations

from headstart.report.statistics import MATTERS, MATTERS_RATE
from headstart.report.study import Study

_TEXT = """
Intervals: 95 % Student t intervals over seeds; differences are paired by seed. A percentile bootstrap over
5 seeds covers only 84 %. They speak of other seeds, not of other validation images. Where seeds differ by
less than one validation image{image}, one image is taken as their spread.

Verdicts: "yes" and "negative transfer": the paired t test, Holm-corrected over all {verdicts} verdicts of
this study, is below 0.05. "no": the interval lies wholly within the smallest difference that matters
({matters} for accuracies and other shares, a factor of {rate} for rates). "undecided": all else, also an
interval that rules out equality where the corrected test does not.
"""


_CURVES = """
Start: The level before the first optimizer step, with the head as it was initialised. "Head in closed form":
the same with the head set to the class means of the features.

Slope: y = a − b·exp(−c·t), fitted to each run by least squares. The verdict is on the rate c (the ratio of
the two, paired on the logarithm), because the initial slope b·c is smaller for a curve that starts nearer its
ceiling. Where the curves of an arm do not determine c (median standard error of ln c above 0.5: too flat, or
there after one evaluation), there is no verdict.

Asymptote: The mean of the last 10 % of the evaluations, of at least 3: the level at the end of the budget.

Area, transfer ratio: The mean level over the range that all arms cover (trapezoids); its difference to the
baseline's, divided by the baseline's.

Time to the final level: The first evaluation at or above the mean asymptote of the baseline. A run that never
gets there is counted as not reached, never left out; the median counts it as later than all others.

With the source: The same plus what the source model's own training took, once and in full, although other
runs share it.

Test figures: Of the checkpoint that was best on val; the test images are looked at once, at the end of a run.

Best arm: The highest mean asymptote; decided where all its paired t tests, Holm-corrected over all pairs of
arms, are below 0.05.
"""


_AXIS = """
Over an axis: The arms that differ in one key with three numbers or more as its values. Runs with a learning curve
are placed at their level at the end (the asymptote) and at their test figure. The words are the verdicts on that
level, against the baseline of the same setting and seeds. A baseline without a value of the key lies along all of it.
"""


_ADAPTATION = """
Adaptation: Runs that learn from labelled images of the source and images of the target without labels. Their val is
the source's, so that they have no curve, start or slope to compare: what counts is the target's test accuracy of the
checkpoint that was chosen without a label of the target, against source_only with the same seed. "gain" stands for
yes and "no difference" for no; the least spread between seeds is one test image.

Oracle: The best of the epochs by the target's test labels (oracle=true). No way to choose can know it; the difference
says what choosing cost. It is in no verdict.
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
    found = []
    for paragraph in text.strip().split("\n\n"):
        term, _, meaning = " ".join(paragraph.split()).partition(": ")
        found.append((term, meaning))
    return found
