"""Which hooks of a step does a callback not use?"""

from __future__ import annotations

from collections.abc import Iterable

from pytorch_lightning import Callback

EACH_BATCH = (
    "on_train_batch_start", "on_before_zero_grad", "on_before_backward", "on_after_backward",
    "on_before_optimizer_step", "on_train_batch_end", "on_validation_batch_start", "on_validation_batch_end",
    "on_test_batch_start", "on_test_batch_end",
)  # fmt: skip


def without_idle_hooks(callbacks: Iterable[Callback]) -> list[Callback]:
    """The same callbacks; what they inherit from Lightning's, which does nothing, is no longer called for each batch.

    Lightning calls every hook of every callback that is callable, and makes a name and a context for each.
    """
    listed = list(callbacks)
    for callback in listed:
        for hook in EACH_BATCH:
            is_lightnings = getattr(type(callback), hook) is getattr(Callback, hook)
            if is_lightnings and hook not in vars(callback):
                setattr(callback, hook, None)
    return listed
