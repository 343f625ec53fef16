"""Jobs that say what they saw of their process, in place of training."""

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Literal

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from headstart.types import UserError

SEEN = "seen.json"


class TwoPartError(Exception):
    """An exception that cannot be made from its message, as pickle would."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(f"{first} and {second}")


def look(
    *, cfg: DictConfig, fails_at: int | None, how: Literal["bug", "user", "two", "killed"], seconds: float, torch: bool
) -> float:
    """The seed of the job, once its folder holds what it saw; where the seed is `fails_at` it fails."""
    folder = Path(HydraConfig.get().runtime.output_dir)
    began = time.time()
    (folder / "began").touch()
    if cfg.seed == fails_at:
        if how == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        raise {
            "bug": RuntimeError("boom"), "user": UserError("expected rain, got sun"), "two": TwoPartError("ebb", "flow")
        }[how]  # fmt: skip
    time.sleep(seconds)
    names = ("CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS", "HEADSTART_CORES", "HEADSTART_STUDY")
    seen = {"pid": os.getpid(), "began": began, "ended": time.time(), **{name: os.environ.get(name) for name in names}}
    seen |= {"folder": str(Path.cwd()), "torch": "torch" in sys.modules}
    if torch:
        import torch as library

        seen["threads"] = library.get_num_threads()
    (folder / SEEN).write_text(json.dumps(seen))
    return float(cfg.seed)
