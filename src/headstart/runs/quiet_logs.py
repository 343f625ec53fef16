"""Logs and warnings of libraries that headstart does not show."""

from __future__ import annotations

import logging
import warnings


def quieten() -> None:
    """Leave the terminal to headstart's own lines: Lightning's tips and warnings that do not fit are not shown."""
    for name in ("pytorch_lightning", "lightning_fabric", "lightning.pytorch"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for message in (
        r".*isinstance\(treespec, LeafSpec\).*",  # Lightning's, of torch's
        r".*does not have many workers.*",  # the images lie in memory: workers would only copy them
        r".*in eval mode at the start of training.*",  # frozen stages are, on purpose
        r".*number of training batches.*smaller than the logging interval.*",
        r".*`broadcast_buffers` is deprecated.*",  # what follows it is not in torch 2.6
        r".*self.log\('(epoch|step|examples|(target|domains)/.*)', ..., sync_dist=True\).*",  # all ranks log the same
        r"Experiment logs directory .* exists and is not empty.*",
        r"Checkpoint directory .* exists and is not empty.*",
    ):
        warnings.filterwarnings("ignore", message=message)
