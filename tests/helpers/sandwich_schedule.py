"""A schedule that opens, closes and opens parts again, and a callback that keeps the weights of each epoch."""

import pytorch_lightning as pl

from headstart import Explicit
from three_parts import state


class States(pl.Callback):
    def __init__(self):
        self.states = []

    def on_train_epoch_start(self, trainer, module):
        self.states.append(state(module))

    def on_train_end(self, trainer, module):
        self.states.append(state(module))


# head; second and head; first alone, the others closed again; all
SANDWICH = Explicit(
    phases=[
        {"trainable": ["head"], "epochs": 1},
        {"trainable": ["second", "head"], "epochs": 1},
        {"trainable": ["first"], "epochs": 1},
        {"trainable": "all"},
    ]
)
OPENED = [{"head"}, {"second", "head"}, {"first"}, {"first", "second", "head"}]
