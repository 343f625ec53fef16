"""Whether the experiment of one of Lightning's loggers has begun, which the loggers keep to themselves."""

from __future__ import annotations

from pytorch_lightning.loggers import Logger, MLFlowLogger


def has_begun(logger: Logger) -> bool:
    """Whether a logger's experiment was made; True of a logger that does not tell. Asking makes none.

    It reads `MLFlowLogger._initialized`, and `_experiment` of the others, None until then.

    Args:
        logger: Of a run.
    """
    if isinstance(logger, MLFlowLogger):
        return bool(logger._initialized)
    return getattr(logger, "_experiment", logger) is not None
