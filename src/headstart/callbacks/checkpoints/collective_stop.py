"""A signal to stop that came to any rank of a job, learned by all ranks at the same step."""

from __future__ import annotations

import torch
import torch.distributed as dist

from headstart.system import stop_signals


class StopTogether:
    """Whether a rank was asked to stop: every rank gives the same answer, as a checkpoint is written by all of them.

    All ranks call `asked` equally often. With several ranks the answer is that of the call before: the ranks' words
    are gathered while they compute the next step. `end` waits for what is under way, where all went well.
    """

    def __init__(self) -> None:
        self._group: dist.ProcessGroup | None = None
        self._pending: tuple[dist.Work, torch.Tensor] | None = None
        self._stops = False

    def asked(self) -> bool:
        if self._stops or not dist.is_initialized() or dist.get_world_size() == 1:
            return self._stops or stop_signals.asked()
        if self._group is None:
            group = dist.new_group(backend="gloo")  # of the CPU: no device waits for it
            assert isinstance(group, dist.ProcessGroup)  # else this rank would not be in it, but all are
            self._group = group
        if self._pending is not None:
            self._stops = self._learned()
        if not self._stops:
            word = torch.tensor([float(stop_signals.asked())])
            work = dist.all_reduce(word, group=self._group, async_op=True)
            assert work is not None  # it is asynchronous
            self._pending = (work, word)
        return self._stops

    def end(self) -> None:
        if self._pending is not None:
            self._learned()
        if self._group is not None:
            dist.destroy_process_group(self._group)
            self._group = None

    def _learned(self) -> bool:
        assert self._pending is not None
        work, word = self._pending
        self._pending = None
        work.wait()
        return bool(word.item())
