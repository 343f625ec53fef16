"""The profiler that trainer.profiler names."""

from __future__ import annotations

from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path

from omegaconf import DictConfig
from pytorch_lightning.profilers import AdvancedProfiler, Profiler, PyTorchProfiler, SimpleProfiler
from torch.profiler import tensorboard_trace_handler

from headstart.compat.hydra.hydra_instantiation import instantiate
from headstart.system import rank_environment
from headstart.types import UserError


def _traced(folder: Path | str) -> Profiler:
    """Traces of three steps of each kind, for TensorBoard's profile tab, chrome://tracing or ui.perfetto.dev."""
    name = f"profile-rank{rank_environment.rank()}" if rank_environment.rank() else "profile"
    return PyTorchProfiler(on_trace_ready=tensorboard_trace_handler(str(folder), worker_name=name))


KINDS: dict[str, Callable[[Path | str], Profiler]] = {
    "simple": lambda _: SimpleProfiler(),
    "advanced": lambda _: AdvancedProfiler(line_count_restriction=20),
    "pytorch": _traced,
}


def profiler_of(trainer: DictConfig, folder: Path | str) -> Callable[[], Profiler] | None:
    """What makes the profiler that a trainer's config asks for, None where it asks for none.

    folder: of traces. A node with _target_ is made as it says. Raises UserError for another word.
    """
    chosen = trainer.get("profiler")
    if chosen is None:
        return None
    if isinstance(chosen, DictConfig):
        return lambda: instantiate(chosen)
    if chosen not in KINDS:
        close = get_close_matches(str(chosen).lower(), KINDS, n=1)
        raise UserError(
            f"trainer.profiler must be one of {', '.join(KINDS)} or null, got {chosen!r}"
            + (f"; did you mean {close[0]}?" if close else "")
        )
    make = KINDS[chosen]
    return lambda: make(folder)
