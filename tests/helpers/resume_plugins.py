"""Parts of a run that is killed at a named point."""

import json
import os
import time
from pathlib import Path

from pytorch_lightning import Callback
from torch import nn

from headstart.backbones.zoo.small_cnn import small_cnn

# {"hook": .., "step": .., "marker": ..}: where rank 0 waits to be killed; {.., "signal": ..}: where it has the command
# signalled, which is another process where there are several ranks
STOP = "HEADSTART_TEST_STOP"
HOOKS = (
    "on_train_start", "on_train_epoch_start", "on_train_batch_start", "on_before_optimizer_step", "on_train_batch_end",
    "on_validation_start", "on_validation_batch_end", "on_validation_end", "on_train_epoch_end", "on_save_checkpoint",
    "on_train_end", "on_fit_end", "on_test_start", "on_test_end",
)  # fmt: skip


class Stop(Callback):
    """Waits to be killed, at the point that the environment names."""


def _waits(hook):
    def method(self, trainer, *_, **__):
        place = json.loads(os.environ.get(STOP, "{}"))
        if place.get("hook") == hook and place["step"] == trainer.global_step and trainer.is_global_zero:
            if "signal" in place:
                os.kill(int(os.environ["HEADSTART_TEST_COMMAND"]), place["signal"])
                return
            Path(place["marker"]).touch()
            time.sleep(600)

    return method


for _hook in HOOKS:
    setattr(Stop, _hook, _waits(_hook))


def dropout_cnn(*, dropout=0.3, width, size, channels, depth, keep, bottleneck, bottleneck_norm):
    """The small network with BatchNorm, and dropout after each stage."""
    shape = {"width": width, "size": size, "channels": channels, "depth": depth, "keep": keep}
    backbone = small_cnn(**shape, bottleneck=bottleneck, bottleneck_norm=bottleneck_norm)
    for stage in backbone.stages.values():
        stage.append(nn.Dropout(dropout))
    return backbone
