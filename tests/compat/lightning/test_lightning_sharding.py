"""What compat/lightning/lightning_sharding.py relies on. Tried: pytorch-lightning 2.5.0 and 2.6.6."""

import inspect

from pytorch_lightning.strategies import ModelParallelStrategy

from headstart.compat.lightning.lightning_sharding import shard_over_all_devices
from one_line_model import Line


def test_the_strategy_has_one_group_of_all_devices_and_shards_by_the_function():
    strategy, module, calls = ModelParallelStrategy(tensor_parallel_size=1), Line(), []
    strategy._lightning_module = module  # as connect() does
    shard_over_all_devices(strategy, lambda: calls.append("sharded"))
    assert strategy._data_parallel_size == strategy.world_size
    module.configure_model()
    assert calls == ["sharded"]


def test_lightning_makes_its_mesh_of_the_size_that_is_set():
    source = inspect.getsource(ModelParallelStrategy.setup_environment)
    assert "self._data_parallel_size" in source
    assert 'if self._data_parallel_size == "auto"' in source  # else it takes the number
