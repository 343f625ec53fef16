"""Which hooks of a step does nobody use?"""

from __future__ import annotations

from collections.abc import Iterable

from pytorch_lightning import Callback, LightningModule

TRAINING = (
    "on_train_batch_start", "on_before_zero_grad", "on_before_backward", "on_after_backward",
    "on_before_optimizer_step", "on_train_batch_end",
)  # fmt: skip
EVALUATION = ("on_validation_batch_start", "on_validation_batch_end", "on_test_batch_start", "on_test_batch_end")


def without_idle_hooks(callbacks: Iterable[Callback]) -> list[Callback]:
    """The same callbacks; what they inherit from Lightning's, which does nothing, is no longer called for each batch.

    Lightning calls every hook that is callable, and makes a name and a context for each.
    """
    listed = list(callbacks)
    for callback in listed:
        _leave_out((*TRAINING, *EVALUATION), callback, Callback)
    return listed


def leave_out_idle_hooks(module: LightningModule) -> None:
    """Let Lightning no longer call for each training batch what the module inherits from it and what does nothing."""
    _leave_out(TRAINING, module, LightningModule)  # those of an evaluation must have a signature, even unused


def _leave_out(hooks: Iterable[str], owner: object, base: type) -> None:
    for hook in hooks:
        is_lightnings = getattr(type(owner), hook) is getattr(base, hook)
        if is_lightnings and hook not in vars(owner):
            setattr(owner, hook, None)
