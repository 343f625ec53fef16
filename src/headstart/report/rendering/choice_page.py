"""A choice under a budget of time as Markdown, and as lines for a terminal."""

from __future__ import annotations

import math
from typing import Any

from headstart.report.rendering.markdown_report import escaped, markdown_table
from headstart.report.rendering.ranking_page import table_lines
from headstart.report.rendering.tables.choice_tables import choice_tables

SHORT = ("Candidates", "Arms")  # tables that a terminal shows


def choice_markdown(result: dict[str, Any]) -> str:
    """The page: the sentences, the commands, then all tables, in GitHub's Markdown.

    Args:
        result: The content of result.json of task=choose.
    """
    parts = ["# The model that was chosen", "\n".join(f"- {escaped(text)}" for text in choice_sentences(result))]
    parts.append("```\n" + "\n".join(result["commands"]) + "\n```")
    if result["picture"]:
        parts.append(f"![Val metric of each arm against what it costs]({result['picture']})")
    parts += map(markdown_table, choice_tables(result))
    return "\n\n".join(parts) + "\n"


def choice_text(result: dict[str, Any]) -> str:
    """The tables and the sentences as aligned lines.

    Args:
        result: As for choice_markdown.
    """
    shown = [table for table in choice_tables(result) if table.title in SHORT]
    lines = [line for table in shown for line in table_lines(table)]
    return "\n".join([*lines, *(f"  {sentence}" for sentence in choice_sentences(result))])


def choice_sentences(result: dict[str, Any]) -> list[str]:
    """What was chosen, by what, how sure that is, and what it took.

    Args:
        result: As for choice_markdown.
    """
    chosen, spent, given = result["chosen"], result["time"]["spent_s"], result["time"]["given_s"]
    values = "".join(f" {key}={value:g}" for key, value in chosen["values"].items())
    epochs = "" if chosen["epochs"] is None else f", {chosen['epochs']} epochs"
    sentences = [
        f"Chosen: {chosen['candidate']}, mode={chosen['mode']}{values}{epochs}; {_metrics(result)}",
        f"Time: {spent:.0f} s of {given:.0f} s, the model itself {result['time']['model_s']:.0f} s",
    ]
    if result.get("state") == "diverged":
        sentences.append("Training of the model diverged: its metrics are not those of a model to use.")
    rivals = [entry for entry in result["pareto"] if not _is_chosen(entry, chosen)]
    if any(entry["state"] == "diverged" for entry in result["trials"]) and not result["pareto"]:
        sentences.append(
            "All trials that were in time diverged: the arm as it comes was trained. A lower optimizer.lr may not."
        )
    elif not result["pareto"]:
        sentences.append(
            "No trial was in time: the arm as it comes was trained. More time (choose.time) compares arms."
        )
    elif rivals:
        sign = -1 if result["lower"] else 1
        best = max(rivals, key=lambda entry: sign * entry["metric"])
        own = next((entry["metric"] for entry in result["pareto"] if _is_chosen(entry, chosen)), None)
        if own is not None:
            sentences.append(_against(best, own, result))
    if result["ended_early"]:
        sentences.append("The time ended before the last epoch of the model: its schedule was cut.")
    return sentences


def _against(rival: dict[str, Any], own: float, result: dict[str, Any]) -> str:
    """The best other arm, and whether the val images tell both apart: 95 % of the difference of two shares."""
    images, other = result["sizes"].get("val", 0), rival["metric"]
    compared = (
        f"The next arm is {rival['candidate']}, mode={rival['mode']}: {result['monitor']} {other:.3f} against "
        f"{own:.3f}, in trials of one seed on {images} val images"
    )
    is_share = result["monitor"].endswith("accuracy") and images > 0
    if is_share and abs(own - other) <= 1.96 * math.sqrt((own * (1 - own) + other * (1 - other)) / images):
        compared += ", which is no more than chance among so many images"
    return f"{compared}; headstart -m with several seeds compares arms"


def _metrics(result: dict[str, Any]) -> str:
    """Its metrics on val and test, test read once."""
    shown = (result["monitor"], result["monitor"].replace("val/", "test/", 1))
    metrics = result["metrics"]  # a number that was none is null in the file, and nan before
    known = [name for name in shown if metrics.get(name) is not None and math.isfinite(metrics[name])]
    return ", ".join(f"{name} {metrics[name]:.3f}" for name in known) or "no metric"


def _is_chosen(entry: dict[str, Any], chosen: dict[str, Any]) -> bool:
    return bool(entry["candidate"] == chosen["candidate"] and entry["mode"] == chosen["mode"])
