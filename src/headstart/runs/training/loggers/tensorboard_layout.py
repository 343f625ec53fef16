"""Order of a run's curves in TensorBoard's tab Custom Scalars: the monitored metric first."""

from __future__ import annotations

from pytorch_lightning.loggers import Logger, TensorBoardLogger


def write_layout(loggers: list[Logger], monitor: str, *, adapts: bool) -> None:
    """Give TensorBoard the charts of a run in the order in which they are read.

    Args:
        loggers: The run's loggers.
        monitor: The monitored metric.
        adapts: Whether the run learns for a target without labels, and so has the curves of its two domains.
    """
    for logger in loggers:
        if isinstance(logger, TensorBoardLogger):
            logger.experiment.add_custom_scalars(layout(monitor, adapts=adapts))


def layout(monitor: str, *, adapts: bool) -> dict[str, dict[str, list[str | list[str]]]]:
    """Category -> chart -> its kind and its tags, which are regular expressions, as TensorBoard has it.

    Args:
        monitor: The monitored metric.
        adapts: As above.
    """
    charts: dict[str, list[str]] = {
        monitor: [f"^{monitor}$"],
        "loss": ["^train/loss$", "^val/loss$"],
        "learning rates": ["^lr/"],
        "trainable stages": ["^stages/trainable$"],
    }
    if adapts:
        charts["domains"] = ["^domains/", "^target/"]
    return {"headstart": {name: ["Multiline", list(tags)] for name, tags in charts.items()}}
