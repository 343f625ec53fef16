"""Lightning's strategy for models that are sharded: over all devices, by a function that the module does not know."""

from __future__ import annotations

from collections.abc import Callable

from pytorch_lightning.strategies import ModelParallelStrategy


def shard_over_all_devices(strategy: ModelParallelStrategy, shard: Callable[[], None]) -> None:
    """Let a strategy use one data-parallel group of all devices, and shard the module by a function.

    To be called at the beginning of the strategy's `setup_environment`.

    Relies on: `_data_parallel_size`, of which `setup_environment` makes the device mesh ("auto" is the number of
    nodes); Lightning calls `configure_model` of the module, once it is overridden, when the mesh is there.

    Args:
        strategy: A strategy that has its module.
        shard: Shards the module in place.
    """
    strategy._data_parallel_size = strategy.world_size
    assert strategy.lightning_module is not None
    strategy.lightning_module.configure_model = shard  # type: ignore[method-assign]
