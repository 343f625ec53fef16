"""Answers of a run's best checkpoint, computed by the model itself."""

import torch

from headstart.runs.model_parts.assembly import assembled
from headstart.runs.saved.finished_run import run_config


def live(run, split="test"):
    """Outputs, labels and names of a split, of the model as it was trained."""
    parts = assembled(run_config(run))
    parts.data.setup("test")
    parts.module.load_state_dict(torch.load(run / "checkpoints" / "best.ckpt", weights_only=True)["state_dict"])
    batches = list(parts.data.plain_dataloader(split))
    with torch.no_grad():
        outputs = torch.cat([parts.module.eval()(batch.image) for batch in batches])
    return outputs, torch.cat([batch.label for batch in batches]), parts.data.names(split)
