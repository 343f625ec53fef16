"""Schema of the keys at the top of the config, the groups left out."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from annotated_types import Ge, Interval

Seed = Annotated[int, Interval(ge=0, lt=2**32)]  # what numpy and torch both take

# groups without an option of which there is no run, as a user names them
NEEDED = (
    "mode", "task", "data@target", "weights", "backbone", "head", "module", "optimizer", "scheduler", "trainer",
    "logger", "callbacks",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The schema of the config's top level; the command line reads it, without importing, as any target's.

    The values stand in conf/config.yaml, conf/task/ and conf/mode/. Groups are not listed: the composed
    config says where each of them is mounted.
    """

    task: str
    mode: str
    reuse: bool
    control: bool
    trainable: Literal["all", "none", "schedule", "new_stages", "biases", "norms", "adapters"]
    peft: Literal["lora", "adapters"] | None
    seed: Seed
    target_labels: Annotated[int, Ge(0)]
    target_labels_share: Annotated[float, Interval(gt=0, lt=1)]
    class_sets: Literal["same", "partial", "open"]
    start_class_means: bool
    start_images: Annotated[int, Ge(1)] | None
    compile: bool
    halve_batch: bool
    gradient_checkpointing: bool | list[str]
    oracle: bool
    forgetting: bool
    fixed_seeds: bool
    study_name: str | None
    objective: Literal["best_trained", "last", "best"]
    skipped_steps: Annotated[int, Ge(0)]
    trial: dict[str, Any] | None
    retry: Annotated[int, Ge(0)]
    live_table: bool
    rerun: bool
    resume: Literal["auto"] | None
    extended_lr: Literal["new_length", "held"]
    tests: dict[str, dict[str, Any] | None]
    run_dir: str
