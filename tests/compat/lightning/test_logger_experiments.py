"""Lightning's loggers tell whether their experiment has begun."""

import pytest
from pytorch_lightning.loggers import CSVLogger, MLFlowLogger, TensorBoardLogger

from headstart.compat.lightning.logger_experiments import has_begun


@pytest.mark.parametrize("kind", [CSVLogger, TensorBoardLogger])
def test_an_experiment_has_begun_once_it_was_asked_for_and_not_by_asking_whether(kind, tmp_path):
    logger = kind(tmp_path, name="", version="")
    assert not has_begun(logger)
    assert not has_begun(logger)
    assert list(tmp_path.iterdir()) == []
    logger.log_metrics({"val/accuracy": 0.5}, step=0)
    assert has_begun(logger)


def test_of_mlflow_the_flag_that_lightning_sets_says_it():
    logger = MLFlowLogger.__new__(MLFlowLogger)  # which needs mlflow to be made
    logger._initialized = False
    assert not has_begun(logger)
    logger._initialized = True
    assert has_begun(logger)


def test_a_logger_that_does_not_tell_has_begun():
    assert has_begun(object())
