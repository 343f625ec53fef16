"""The best settings of a report as a LaTeX table."""

from __future__ import annotations

import re

from headstart.report.leaderboard.study_ranking import StudyRanking
from headstart.report.rendering.tables.ranked_setting_tables import MOST, group_rows
from headstart.report.rendering.wording.number_format import MISSING

_SIGNS = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", MISSING: "--", "−": "$-$", "±": r"$\pm$", "×": r"$\times$",
}  # fmt: skip
_SPECIAL = re.compile("|".join(map(re.escape, _SIGNS)))


def setting_latex(ranking: StudyRanking) -> str:
    """A tabular of the best settings, in rules of plain LaTeX; to be read by \\input{report.tex}.

    Args:
        ranking: The runs, ranked.
    """
    head, *rows = group_rows(ranking, MOST)
    names = len(ranking.board.setting_keys)
    columns = "l" * names + "r" * (len(head) - names)
    lines = [
        f"% {_comment(ranking)}",
        rf"\begin{{tabular}}{{{columns}}}",
        r"\hline",
        _line(head),
        r"\hline",
        *map(_line, rows),
        r"\hline",
        r"\end{tabular}",
    ]
    return "\n".join(lines) + "\n"


def latex_text(text: str) -> str:
    """Text in which LaTeX finds no command.

    Args:
        text: Any.
    """
    return _SPECIAL.sub(lambda sign: _SIGNS[sign.group()], " ".join(text.split()))


def _comment(ranking: StudyRanking) -> str:
    shown = min(MOST, len(ranking.groups))
    return f"The best {shown} of {len(ranking.groups)} settings, by the mean of {ranking.board.figure.title}"


def _line(cells: list[str]) -> str:
    return " & ".join(map(latex_text, cells)) + r" \\"
