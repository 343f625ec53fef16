"""Sentences about a study's runs as a list: how many, the best setting, what cannot be answered."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping

from headstart.report.analysis.arm_comparison import ADD_CONTROL
from headstart.report.analysis.study_records import Study
from headstart.report.leaderboard.run_entries import FINISHED
from headstart.report.leaderboard.setting_groups import SettingGroup
from headstart.report.leaderboard.study_ranking import StudyRanking
from headstart.report.rendering.wording.number_format import number

REASONS = 3  # of settings without a comparison, that are told
BIASED = 5  # settings, from which on the best one's figure is said to be biased


def board_sentences(ranking: StudyRanking, study: Study) -> list[str]:
    """What the list of runs shows at its top: their count, the best setting, and the open question.

    Args:
        ranking: The runs, ranked.
        study: The comparison.
    """
    entries = ranking.board.entries
    states = Counter(entry.state for entry in entries)
    told = ", ".join(f"{count} {state}" for state, count in states.items())
    runs = "1 run" if len(entries) == 1 else f"{len(entries)} runs"
    settings = "1 setting was" if ranking.measured == 1 else f"{ranking.measured} settings were"
    sentences = [f"{runs}: {told}; {settings} measured."]
    if states["diverged"]:
        sentences.append(
            "Of the diverged runs a loss or a weight became nan or infinite: they count as the worst, and no setting "
            "with one is the best. Try a smaller optimizer.lr."
        )
    if not study.compares:
        sentences = [*_best(ranking, study.metric), *sentences, unanswered(study)]
    elif study.folded:
        sentences.append(folded(study))
    return sentences


def setting_text(settings: Mapping[str, str]) -> str:
    """mode=fine_tuning optimizer.lr=0.01; keys without a value are left out.

    Args:
        settings: Key -> value.
    """
    return " ".join(f"{key}={value}" for key, value in settings.items() if value) or "the only setting"


def mean_text(group: SettingGroup, figure: str) -> str:
    """0.941 (3 runs, standard deviation 0.004); 0.941 (1 run).

    Args:
        group: A setting.
        figure: The column that ranks.
    """
    runs = "1 run" if group.count == 1 else f"mean of {group.count} runs"
    spread = f", standard deviation {number(group.spread)}" if math.isfinite(group.spread) else ""
    return f"{number(group.means[figure])} ({runs}{spread})"


def _best(ranking: StudyRanking, metric: str) -> list[str]:
    if metric.startswith("test/"):
        return [f"Runs are listed by {metric}, which may choose none: no setting is called the best."]
    if ranking.best is None:
        if ranking.measured == 0 and any(entry.state == FINISHED for entry in ranking.board.entries):
            return [f"No finished run has {metric}, as without val images, so no setting is called the best."]
        return ["No setting has runs that all ended well."]
    figure = ranking.board.figure
    count = ranking.measured
    best = f"Best {figure.title}: {mean_text(ranking.best, figure.key)}, {setting_text(ranking.best.settings)}."
    if count < BIASED:
        return [best]
    return [best, f"It is the best of {count} settings and so biased upwards: measure it with new seeds."]


def unanswered(study: Study) -> str:
    """The question that a study without a baseline cannot answer, and the overrides that would.

    Args:
        study: The comparison.
    """
    if study.adapted and not study.sections:
        return (
            "Whether adapting helped cannot be said, as no run of the same settings learned from the source alone: "
            f"add adaptation={study.baseline},..."
        )
    arms = [arm for section in study.sections for arm in section.all_arms]
    if arms and all(arm.arm.begins_random for arm in arms):
        return (
            "Whether a source would help cannot be said, as no run started from one: "
            f"add mode={study.baseline},fine_tuning."
        )
    return (
        "Whether starting from the source helped cannot be said, as no run of the same settings started from random "
        f"weights: add mode={study.baseline},... for what transfer brings in practice, {ADD_CONTROL} for what the "
        "source's weights brought."
    )


def folded(study: Study) -> str:
    """How many settings have nothing to be compared with, and the first reasons.

    Args:
        study: The comparison.
    """
    hints = dict.fromkeys(
        hint for section in study.folded for hint in section.hints if hint.startswith(("No verdict", "There "))
    )
    told = " ".join(list(hints)[:REASONS])
    more = f" And {len(hints) - REASONS} more such reasons." if len(hints) > REASONS else ""
    return f"{len(study.folded)} settings have nothing to be compared with. {told}{more}".strip()
