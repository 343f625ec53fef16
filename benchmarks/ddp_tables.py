"""Tables of the findings."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from statistics import median

from ddp_findings import Finding
from ddp_task import BATCH, EPOCHS, INTERRUPTED_AFTER, RANKS, STAGES, TRAIN
from ddp_ways import WAYS

BEGIN, END = "<!-- make bench-ddp: from here -->", "<!-- make bench-ddp: to here -->"
PACKAGES = ("torch", "pytorch-lightning", "finetuning-scheduler")


def tables(found: Mapping[str, Sequence[Finding]]) -> str:
    """Markdown: the summary, the figures by epoch, the settings; found: way -> a finding for each seed."""
    ended = {name: ones for name, ones in found.items() if all(len(one.drift) == EPOCHS for one in ones)}
    return (
        "\n\n".join([*_overview(found, ended), *_by_epoch(ended), *_after_a_resume(ended), *_rest(found, ended)]) + "\n"
    )


def _overview(found: Mapping[str, Sequence[Finding]], ended: Mapping[str, Sequence[Finding]]) -> list[str]:
    seeds = max(len(ones) for ones in found.values())
    head = ["", "replicas differ by", "sent / trainable", "frozen weights move", "frozen BatchNorm", "after a resume"]
    return [
        f"{seeds} seeds, {RANKS} processes over gloo, {EPOCHS} epochs of {TRAIN // RANKS // BATCH} steps. "
        f"{os.cpu_count()} CPU cores ({platform.machine()}), {platform.system()}, "
        f"Python {platform.python_version()}, {', '.join(map(_version, PACKAGES))}.",
        _table(head, [[WAYS[name].title, *_summary(name, ones)] for name, ones in ended.items()]),
        f"Replicas: the largest absolute difference of any weight between the ranks, worst epoch and seed; 0 is to "
        f"the bit. Sent / trainable: bytes all-reduced by step over bytes of the weights that are trainable by the "
        f"schedule, smallest and largest epoch. Resume: `fit(ckpt_path=...)` in new processes with the checkpoint of "
        f"epoch {INTERRUPTED_AFTER}; the final weights of rank 0 against the uninterrupted run's, worst seed.",
    ]


def _by_epoch(ended: Mapping[str, Sequence[Finding]]) -> list[str]:
    epochs = range(EPOCHS)
    drift = {name: [_small(max(one.drift[e] for one in ones)) for e in epochs] for name, ones in ended.items()}
    traffic = {
        name: [f"{median(one.sent[e] for one in ones) / 1e3:.1f} / {ones[0].open[e] / 1e3:.1f}" for e in epochs]
        for name, ones in ended.items()
    }
    titles = [f"epoch {epoch}" for epoch in epochs]
    return [
        "### Replicas, epoch by epoch",
        _table(["largest difference, worst seed", *titles], [[WAYS[n].title, *row] for n, row in drift.items()]),
        "### Traffic, epoch by epoch",
        _table(["kB sent a step / kB trainable", *titles], [[WAYS[n].title, *row] for n, row in traffic.items()]),
    ]


def _after_a_resume(ended: Mapping[str, Sequence[Finding]]) -> list[str]:
    rows = [
        [WAYS[name].title, str(epoch), *(_agreed(ones, what, epoch) for what in ("learning", "learning_resumed"))]
        for name, ones in ended.items()
        for epoch in (INTERRUPTED_AFTER + 1, EPOCHS - 1)
    ]
    return [
        f"### What learns after a resume from the end of epoch {INTERRUPTED_AFTER}",
        _table(["", "epoch", "uninterrupted", "resumed"], rows),
    ]


def _rest(found: Mapping[str, Sequence[Finding]], ended: Mapping[str, Sequence[Finding]]) -> list[str]:
    return [
        *(_stopped(name, ones) for name, ones in found.items() if name not in ended),
        "### Settings",
        "\n".join(f"- **{WAYS[name].title}**: {WAYS[name].settings}." for name in found),
    ]


def in_page(page: str, text: str) -> str:
    """A page with the text between its two marks. Raises ValueError where it has no marks."""
    before, began, rest = page.partition(BEGIN)
    _, ended, after = rest.partition(END)
    if not (began and ended):
        raise ValueError(f"the page needs the lines {BEGIN} and {END}, between which the tables go")
    return f"{before}{BEGIN}\n{text}{END}{after}"


def _summary(name: str, ones: Sequence[Finding]) -> list[str]:
    ratios = [sent / held for one in ones for sent, held in zip(one.sent, one.open, strict=True)]
    low, high = min(ratios), max(ratios)
    statistics = "moves" if any(one.closed_statistics_move for one in ones) else "still"
    if any(one.closed_in_training for one in ones):
        statistics += ", normalises with the batch"
    weights = next((word for word in ("yes", "BatchNorm's") for one in ones if one.closed_weights_move == word), "no")
    if all(set(parts) == set(STAGES) for parts in WAYS[name].opens):
        weights = statistics = "none frozen"
    return [
        _small(max(max(one.drift) for one in ones)),
        f"{low:.2f}" if f"{low:.2f}" == f"{high:.2f}" else f"{low:.2f} to {high:.2f}",
        weights,
        statistics,
        _resumed(ones),
    ]


def _resumed(ones: Sequence[Finding]) -> str:
    if errors := [one.error_resumed for one in ones if one.error_resumed]:
        return f"stops: {errors[0].splitlines()[0][:120]}"
    apart = max(one.resumed_differs or 0 for one in ones)
    if apart == 0:
        return "the same weights"
    same = all(one.learning == one.learning_resumed for one in ones)
    return f"{'the same layers learn' if same else 'other layers learn'}; weights differ by {_small(apart)}"


def _agreed(ones: Sequence[Finding], what: str, epoch: int) -> str:
    return " or ".join(sorted({getattr(one, what).get(epoch, "never reached") for one in ones}))


def _stopped(name: str, ones: Sequence[Finding]) -> str:
    words = sorted({f"{one.error}" for one in ones})
    return (
        f"**{WAYS[name].title}** stops the run with {sum(one.error is not None for one in ones)} of {len(ones)} seeds: "
        + "; ".join(words)
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _small(value: float) -> str:
    return "0" if value == 0 else f"{value:.2g}"


def _version(package: str) -> str:
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        return f"{package} not there"
