"""Settings in which two arms differ, and what such a difference means for their comparison."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

# what decides the data, the network or the budget: no comparison where one of these differs
TASK = (
    "target", "backbone", "trainer", "draw", "images_seed", "target_labels", "target_labels_share", "selection",
    "extended",
)  # fmt: skip
# though they are the trainer's, they say how steps are made, as the optimizer's settings do
_OF_STEPS = ("trainer.gradient_clip_val", "trainer.gradient_clip_algorithm")
# what does not change results, or is what a comparison is about
_NEVER = (
    "seed", "mode", "reuse", "control", "task", "fit", "run_dir", "rerun", "resume", "study", "feature_cache", "logger",
    "hydra", "oracle", "compile", "debug", "gradient_checkpointing", "chosen", "tuned", "tuning", "recipe",
    "start_class_means", "start_images", "fixed_seeds", "objective", "study_name", "skipped_steps", "target.fold",
    "target.num_workers", "target.cache_gib", "target.leakage", "target.unreadable", "trainer.accelerator",
    "trainer.log_every_n_steps", "trainer.profiler", "trainer.num_sanity_val_steps", "trainer.deterministic",
    "trainer.use_distributed_sampler", "trainer.enable_checkpointing", "trainer.enable_progress_bar",
    "trainer.enable_model_summary", "unfreeze", "lora", "adapters", "weights", "source", "extended_lr",
    "extended.parent", "forgetting", "tests", "halve_batch",
)  # fmt: skip
_CALLBACKS = (  # that change results
    "callbacks.checkpoint.monitor", "callbacks.checkpoint.mode", "callbacks.ema", "callbacks.early_stopping",
)  # fmt: skip


@dataclass(frozen=True)
class SettingDifference:
    """One setting that two arms do not share."""

    key: str
    ours: Any  # None where it is not set
    theirs: Any

    @property
    def is_of_the_task(self) -> bool:
        """Whether it decides the data, the network or the budget."""
        return _within(self.key, TASK) and self.key not in _OF_STEPS

    def __str__(self) -> str:
        return f"{self.key} {_plain(self.ours)} against {_plain(self.theirs)}"


def differences(
    ours: Mapping[str, Any], theirs: Mapping[str, Any], *, without: tuple[str, ...] = ()
) -> tuple[SettingDifference, ...]:
    """The leaves that two configs do not share, as far as one of the two runs reads them; sorted by key.

    ours, theirs: dotted key -> value. without: keys, or what they lie in, that do not count, as what was tuned. What a
    source's weights are read from counts for nobody here: a run reads it only where it starts from them, and that is
    what is compared. A schedule counts where a run follows it, adapters where they are put in.
    """
    unequal = []
    for key in ours.keys() | theirs.keys():
        value, other_value = ours.get(key), theirs.get(key)
        if value == other_value or _plain(value) == _plain(other_value):  # nearly all: asked first
            continue
        if _counts(key, ours, theirs) and not _within(key, without):
            unequal.append(SettingDifference(key, value, other_value))
    return tuple(sorted(unequal, key=lambda difference: difference.key))


def _counts(key: str, *configs: Mapping[str, Any]) -> bool:
    if key.startswith("callbacks."):
        return _within(key, _CALLBACKS)
    if key.startswith("unfreeze."):
        return any(config.get("trainable") == "schedule" for config in configs)
    if key.startswith(("lora.", "adapters.")):
        return any(config.get("peft") == key.partition(".")[0] for config in configs)
    if key == "target.folds":
        return all(config.get("target.fold") is not None for config in configs)
    if key == "weights.reset_from":  # it says which stages are frozen
        return all(config.get("trainable") == "new_stages" for config in configs)
    return not _within(key, _NEVER)


def _within(key: str, prefixes: tuple[str, ...]) -> bool:
    return any(key == prefix or key.startswith(f"{prefix}.") for prefix in prefixes)


def of_overrides(overrides: Iterable[str]) -> dict[str, Any]:
    """What overrides alone say, for a run whose config is not there: dotted key -> text."""
    parts = (text.lstrip("+~").partition("=") for text in overrides)
    return {key.partition("@")[2] or key: value for key, _, value in parts}


def _plain(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))  # 1.0 is 1
    return str(value)
