"""Tables of the measurements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from bench_demands import Line, lines, of_way
from bench_parts import LR, PARTS, SPARED, WEIGHT_DECAY

Runs = Sequence[Mapping[str, Any]]

TITLES = {
    "headstart": "headstart",
    "headstart_bf16": "headstart, bf16-mixed",
    "headstart_spared": f"headstart, {SPARED}",
    "floor": "by hand",
    "channels_last": "by hand, channels_last",
    "lightning": "Lightning",
    "backbone_finetuning": "Lightning, BackboneFinetuning",
    "base_finetuning": "Lightning, BaseFinetuning",
    "finetuning_scheduler": "finetuning-scheduler",
    "fastai": "fastai",
    "steps_loop": "torch loop",
    "steps_bare": "Lightning without logging, bar and checkpoints",
    "steps_lightning": "Lightning, logging and bar",
    "steps_fastai": "fastai",
    "imports": "importing torch, torchvision and Lightning",
}
SETTINGS = {
    "headstart": "the command `headstart`, `head.init=random` and a constant rate as all others have; store empty at "
    "the beginning of each run; time is set-up and fit, with a validation before the first step that the others lack",
    "by hand": "one `inference_mode` pass a phase through what is frozen, the rest on what it gave",
    "Lightning": "the frozen backbone of its page on transfer learning: `eval()` and `no_grad`; trainer as it comes",
    "Lightning, BackboneFinetuning": "`unfreeze_backbone_at_epoch` after the end; its BatchNorm trains in any case",
    "Lightning, BaseFinetuning": "a subclass that opens a stage at an epoch's start, `train_bn=False` while frozen",
    "finetuning-scheduler": "explicit schedule, `epoch_transitions_only=True`, `restore_best=False`",
    "fastai": "`Learner` with a group a stage, `freeze_to` and `fit`; torch's AdamW and loaders; `train_bn=False` and "
    "`BnFreeze`, without which it is slower, as frozen BatchNorm then trains",
}
ABOUT = {
    "workers": "One epoch of feature extraction. Each peer has the number that was faster in all that follows.",
    "features5": "ResNet-18 with random weights at 224, a head on frozen features.",
    "features20": "The same for longer, with the two fastest peers.",
    "gradual": "Open: head; layer4 too; layer3 too; then all, in each way the same, as was checked by what moved.",
    "sweep": f"Whole commands, from their start to their end, each from an empty store: one run of 5 epochs; "
    f"{len(LR) * len(WEIGHT_DECAY)} jobs of 5 epochs by `-m`; `task=probe` with its default 5 stages x 5 rates x 4 "
    "weight decays, and the other kinds of heads that come with it.",
    "full": "All of ResNet-18 learns, float32. headstart validates before the first step, which no peer does, and "
    f"measures the start with a head in closed form: a pass over 32 training images, and none with {SPARED}.",
    "steps": "Batches of 256, 512 features, 16,384 images, the first epochs not counted. headstart: the command, "
    "logging and bar on, no checkpoints, a validation every 10 epochs; features of ResNet-18 at 32 pixels.",
    "startup": "From a process's start: to the end of the first training step of `headstart mode=scratch`, and to "
    "the end of the imports alone. All warm.",
    "scaling": "headstart, feature extraction, 3 epochs, small JPEG images of 32 pixels, ResNet-18 at 32, empty store.",
    "photos": "MobileNetV2 with ImageNet weights on 244 photos of ants and bees, validated on 153.",
}


def page(found: Mapping[str, Any]) -> str:
    """RESULTS.md, of what is in results.json."""
    runs: Runs = found["runs"]
    blocks = ["# Time and memory against the peers", *_overview(runs)]
    for name in PARTS:
        if any(run["part"] == name for run in runs):
            blocks += _part(name, runs, found["parts"].get(name, {}))
    blocks += ["## Settings", "\n".join(f"- **{title}**: {text}." for title, text in SETTINGS.items())]
    return "\n\n".join(blocks) + "\n"


def _overview(runs: Runs) -> list[str]:
    found = lines(runs)
    rows = [[line.title, _demand(line), _value(line), "met" if line.is_met else "**missed**"] for line in found]
    missed = sum(not line.is_met for line in found)
    return [
        f"{len(found) - missed} of {len(found)} lines are met. Each value is the median over the repeats, the range "
        "behind it; ratios are taken within a repeat. `make bench` writes this page from `results.json`.",
        table(["", "asked", "measured", ""], rows),
        "![Times of the ways, and time and memory by number of images](results.png)",
    ]


def _demand(line: Line) -> str:
    return f"{'at least' if line.at_least else 'at most'} {line.bound:,g}"


def _value(line: Line) -> str:
    shown = "{:,.0f}" if line.bound > 100 else "{:.2f}"
    spread = f" ({shown.format(min(line.values))} to {shown.format(max(line.values))})" if len(line.values) > 1 else ""
    return f"{shown.format(line.value)}{spread} {line.word}"


def _part(name: str, runs: Runs, about: Mapping[str, Any]) -> list[str]:
    own = [run for run in runs if run["part"] == name]
    ways = list(dict.fromkeys(run["way"] for run in own))
    images = f", {about.get('images')} images" if name not in ("steps", "startup", "scaling", "photos") else ""
    rows = [_row(name, way, runs) for way in ways]
    columns = ["", "runs", *_columns(name), "peak MiB"]
    blocks = [
        f"## {PARTS[name].question}",
        ABOUT[name],
        table(columns, rows),
        f"{about.get('machine', '')}; {about.get('versions', '')}; {about.get('repeats')} repeats{images}; "
        f"`{about.get('command', '')}`.",
    ]
    failed = [run for run in own if "error" in run]
    if failed:
        said = [f"- {_title(run['way'])}, repeat {run['repeat']}, failed: {_one_line(run['error'])}" for run in failed]
        blocks.append("\n".join(said))
    return blocks


def _columns(name: str) -> list[str]:
    if name == "steps":
        return ["steps a second", "range"]
    return ["seconds", "range"] + (
        [] if name in ("sweep", "startup", "workers") else ["val accuracy", "imports s", "workers"]
    )


def _row(name: str, way: str, runs: Runs) -> list[str]:
    what = "steps_a_second" if name == "steps" else "seconds"
    values = list(of_way(runs, name, way, what).values())
    shown = "{:,.0f}" if name == "steps" else "{:.2f}"
    if not values:
        measured = ["failed", ""]
    else:
        spread = f"{shown.format(min(values))} to {shown.format(max(values))}" if len(values) > 1 else ""
        measured = [shown.format(median(values)), spread]
    more = _columns(name)[2:]
    extra = {
        "val accuracy": _median(runs, name, way, "accuracy", "{:.3f}"),
        "imports s": _median(runs, name, way, "import_s", "{:.1f}"),
        "workers": _median(runs, name, way, "workers", "{:.0f}"),
    }
    peak = _median(runs, name, way, "peak_mib", "{:,.0f}")
    return [_title(way), f"{len(values)}", *measured, *(extra[column] for column in more), peak]


def _median(runs: Runs, part: str, way: str, what: str, shown: str) -> str:
    found = list(of_way(runs, part, way, what).values())
    return shown.format(median(found)) if found else ""


def _title(way: str) -> str:
    name, _, workers = way.rpartition(" ")
    if name in TITLES and workers.isdigit():
        return f"{TITLES[name]}, {workers} workers"
    if way.isdigit():
        return f"{int(way):,} images"
    return TITLES.get(way, way)


def _one_line(text: str) -> str:
    return " ".join(text.replace("|", "/").split())[-300:]


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    given = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in given)
