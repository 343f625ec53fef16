"""Studies of known curves, written to disk or made in memory."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import yaml
from numpy.typing import NDArray

from headstart.report.config_leaves import leaves
from headstart.report.stored_runs.study_runs import FinishedRun

STEPS_AN_EPOCH = 2
BATCH = 25


def planted(start: float, ceiling: float, rate: float, epochs: int = 30) -> list[float]:
    """y = a - b exp(-c t) at step 0 and after each epoch, t in epochs."""
    return [ceiling - (ceiling - start) * float(np.exp(-rate * t)) for t in range(epochs + 1)]


PHASES = {  # of each mode: what is open in it, and its images a second
    "scratch": {"all": (["stage1", "stage2", "head"], 900.0)},
    "feature_extraction": {"head": (["head"], 12000.0)},
    "gradual": {
        "head": (["head"], 12000.0),
        "stage2 and above": (["stage2", "head"], 2400.0),
        "all": (["stage1", "stage2", "head"], 900.0),
    },
}


def phases_of_mode(mode: str, seed: int) -> list[dict[str, Any]]:
    """What each phase took; each seed is a tenth faster than the one before."""
    return [
        {
            "phase": name, "trainable": parts, "epochs": 10.0, "steps": 20, "images": 500, "train_s": 500 / rate,
            "step_s": 300 / rate, "wait_s": 50 / rate, "validation_s": 0.4, "cache_s": 0.2 * (rate == 12000.0),
            "images_per_s": rate * (1 + seed / 10), "wait_share": 0.1, "peak_memory_mib": 400.0 + seed,
        }
        for name, (parts, rate) in PHASES.get(mode, PHASES["scratch"]).items()
    ]  # fmt: skip


MODES: dict[str, dict[str, Any]] = {  # what the mode's own YAML says
    "scratch": {"reuse": False, "trainable": "all"},
    "multi_task": {"reuse": False, "trainable": "all", "adaptation": {"_target_": "headstart.adaptation.SourceTask"}},
    "AnB": {"reuse": True, "trainable": "new_stages"},
    "AnB+": {"reuse": True, "trainable": "all"},
    "feature_extraction": {"reuse": True, "trainable": "none", "head": {"init": "class_means"}},
    "fine_tuning": {
        "reuse": True, "trainable": "all", "module": {"stage_decay": 0.5}, "head": {"init": "class_means"},
    },
    "gradual": {
        "reuse": True, "trainable": "schedule", "module": {"stage_decay": 0.5}, "head": {"init": "class_means"},
    },
}  # fmt: skip


def config_of(mode: str, seed: int, overrides: Sequence[str]) -> dict[str, Any]:
    """A composed config: defaults, then the mode's, then the overrides."""
    config: dict[str, Any] = {
        "mode": mode, "seed": seed, "control": False, "reuse": True, "trainable": "all", "peft": None,
        "target": {"_target_": "headstart.data.datasets.digits.Digits", "shots": 5, "fold": None, "batch_size": 16},
        "source": {"_target_": "headstart.data.datasets.printed_characters.Printed"},
        "weights": {"_target_": "headstart.runs.weights.source_model.source_weights", "seed": 0, "reset_from": None},
        "backbone": {"_target_": "headstart.backbones.zoo.small_cnn.small_cnn", "width": 16},
        "head": {"_target_": "headstart.modules.heads.linear_head.LinearHead", "init": "random"},
        "module": {"_target_": "headstart.modules.classifier.Classifier", "stage_decay": 1.0},
        "optimizer": {"_target_": "torch.optim.AdamW", "lr": 0.002, "weight_decay": 0.01},
        "trainer": {"max_epochs": 30, "check_val_every_n_epoch": 1},
        "unfreeze": {"every_epochs": 2}, "regularizer": None,
    }  # fmt: skip
    for key, value in MODES.get(mode, {}).items():
        config[key] = config.get(key, {}) | value if isinstance(value, dict) else value
    for key, _, text in (override.lstrip("+").partition("=") for override in sorted(overrides)):
        node = config
        *above, last = key.split(".")
        for part in above:
            if not isinstance(node.get(part), dict):
                node[part] = {}
            node = node[part]
        node[last] = yaml.safe_load(text)
    return config


def write_answers(folder: Path, split: str, image: NDArray[Any], right: NDArray[Any], step: Sequence[int], **more: Any):
    """<folder>/answers/<split>.npz of images of class 1: right (E, N), where it is not, class 0 was said."""
    (folder / "answers").mkdir(exist_ok=True)
    arrays = {
        "image": np.asarray(image, dtype=np.uint64), "label": np.ones(len(image), dtype=np.int64),
        "step": np.asarray(step, dtype=np.int64), "predicted": np.asarray(right, dtype=np.uint8),
        "loss": (1 - np.asarray(right)).astype(np.float16),
    }  # fmt: skip
    np.savez_compressed(folder / "answers" / f"{split}.npz", **arrays | more)


def result_of(mode: str, seed: int, levels: Sequence[float], overrides: Sequence[str], **more: Any) -> dict[str, Any]:
    """result.json as ARCHITECTURE.md has it."""
    steps = [STEPS_AN_EPOCH * epoch for epoch in range(len(levels))]
    best = int(np.argmax(levels))
    control = "control=true" in overrides
    source = None if mode == "scratch" or control else {
        "hash": "5ca1ab1e", "folder": "outputs/source/printed-5ca1ab1e", "wall_s": 21.5, "examples": 26000,
        "metrics": {"test/accuracy": 0.93}, "accuracy_interval": [0.905, 0.949],
        "naive": {"majority": 0.038, "class_means": 0.61, "logistic_regression": 0.79}, "weights_hash": "abc",
    }  # fmt: skip
    return {
        "format": 2, "study": "demo", "name": f"mode={mode},seed={seed}", "hash": f"{seed:08x}", "mode": mode,
        "seed": seed, "overrides": list(overrides), "control": control, "state": "finished",
        "metrics": {
            "val/accuracy": levels[best],
            "test/accuracy": levels[best] - 0.005,
            "test/loss": 1 - levels[best],
        },
        "best": {"epoch": best, "step": steps[best], "val/accuracy": levels[best]},
        "evaluations": [
            {
                "epoch": epoch, "step": step, "examples": step * BATCH, "wall_s": 0.1 * epoch,
                "learning_rate_sum": 0.002 * step,
            }
            for epoch, step in enumerate(steps)
        ],
        "peak_learning_rate": 0.002,
        "start_class_means": levels[0] + 0.02, "sizes": {"train": 50, "val": 700, "test": 1047},
        "num_classes": 10,
        "steps": steps[-1], "examples": steps[-1] * BATCH, "wall_s": 3.2, "peak_memory_mib": 410.0,
        "phases": phases_of_mode(mode, seed),
        "source": source, "weights_hash": "ffff",
        "versions": {"headstart": "0.1.0", "git": "c3569ae", "python": "3.11.7", "torch": "2.15.0"},
    } | more  # fmt: skip


def run_of(
    mode: str, seed: int, levels: Sequence[float], overrides: Iterable[str] | None = None, **more: Any
) -> FinishedRun:
    """A run that never was on disk."""
    listed = tuple(overrides if overrides is not None else (f"mode={mode}", f"seed={seed}"))
    rows = {
        STEPS_AN_EPOCH * epoch: {
            "val/accuracy": level,
            "examples": STEPS_AN_EPOCH * BATCH * epoch,
            "epoch": epoch,
        }
        for epoch, level in enumerate(levels)
    }
    result = result_of(mode, seed, levels, listed, **more)
    folder = Path(f"{mode}-{seed}-{crc32(repr(listed).encode()):08x}")
    return FinishedRun(folder, mode, seed, listed, result, rows, leaves(config_of(mode, seed, listed)))


def write_run(
    study: Path,
    mode: str,
    seed: int,
    levels: Sequence[float],
    overrides: Sequence[str] | None = None,
    **more: Any,
) -> Path:
    """A finished run's folder."""
    listed = list(overrides if overrides is not None else (f"mode={mode}", f"seed={seed}"))
    folder = study / f"{','.join(listed)}-{crc32(repr(listed).encode()):08x}"
    (folder / ".hydra").mkdir(parents=True)
    (folder / ".hydra" / "overrides.yaml").write_text("".join(f"- {o}\n" for o in listed))
    (folder / ".hydra" / "config.yaml").write_text(yaml.safe_dump(config_of(mode, seed, listed)))
    with (folder / "metrics.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["epoch", "examples", "lr/head", "step", "train/loss", "val/accuracy", "val/loss"])
        for epoch, level in enumerate(levels):
            step = STEPS_AN_EPOCH * epoch
            if epoch:
                writer.writerow([epoch - 1, step * BATCH, 0.002, step - 1, 1 - level, "", ""])
            writer.writerow([epoch, step * BATCH, "", step, "", level, 1 - level])
    (folder / "result.json").write_text(json.dumps(result_of(mode, seed, levels, listed, **more)))
    return folder


def write_failed(study: Path, name: str, error: str) -> Path:
    """A failed run's folder."""
    (study / name / ".hydra").mkdir(parents=True)
    (study / name / "error.txt").write_text(f"Traceback (most recent call last):\n  File x\n{error}\n\n")
    return study / name


DEMO = {  # mode -> start, ceiling, rate
    "scratch": (0.42, 0.89, 0.16),
    "feature_extraction": (0.80, 0.90, 0.25),
    "fine_tuning": (0.80, 0.945, 0.30),
    "gradual": (0.80, 0.93, 0.12),
}


CONTROL = (0.45, 0.90, 0.17)  # the start of a random network, and how its head learns


def write_demo(study: Path, seeds: int = 5, images: int = 700) -> Path:
    """A study like the demo: four modes and their controls, with noise between seeds and of the images."""
    rng = np.random.default_rng(3)
    arms = [(mode, False, curve) for mode, curve in DEMO.items()]
    arms += [(mode, True, CONTROL) for mode in DEMO if mode != "scratch"]
    for mode, control, (start, ceiling, rate) in arms:
        for seed in range(seeds):
            shift, factor = 0.012 * rng.standard_normal(2), np.exp(0.15 * rng.standard_normal())
            truth = np.clip(planted(start + shift[0], ceiling + 0.5 * shift[1], rate * factor), 0, 1)
            overrides = [f"mode={mode}", *(["control=true"] if control else []), f"seed={seed}"]
            write_run(study, mode, seed, list(rng.binomial(images, truth) / images), overrides)
    (study / "multirun.yaml").write_text(
        "hydra:\n  job: {name: headstart}\n  mode: MULTIRUN\n  overrides:\n"
        "    hydra: [hydra.mode=MULTIRUN]\n    task: [study=demo]\n"
    )
    return study
