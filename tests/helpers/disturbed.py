"""The run that the tests with planted faults disturb."""

from composed import TINY
from killed import said

RUN = [  # 12 steps in 3 epochs, about 3 seconds; a checkpoint every second step
    *TINY, "trainer.max_epochs=3", "mode=scratch", "trainable=schedule", "target.shots=6", "scheduler=one_cycle",
    "augment@target.augment=affine", "trainer.limit_val_batches=3", "trainer.limit_test_batches=2",
    "callbacks.figures=null", "callbacks.checkpoint.every_steps=2", "callbacks.checkpoint.min_interval_s=0",
    "unfreeze=steps", "unfreeze.first_step=3", "unfreeze.every_steps=3",
]  # fmt: skip


def last_line(place):
    """What the command has said at its end; nobody has seen a trace."""
    text = said(place)
    assert "Traceback" not in text, text
    return text.strip().splitlines()[-1]
