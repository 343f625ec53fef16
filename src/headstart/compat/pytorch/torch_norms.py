"""Base classes of torch's norms that keep running statistics.

torch has no public name for them. Other libraries derive norms of their own from these classes, so that a list of
torch's public norms would miss some.
"""

from __future__ import annotations

from torch.nn.modules.batchnorm import _BatchNorm as BatchNorm  # BatchNorm1d, 2d, 3d, SyncBatchNorm
from torch.nn.modules.batchnorm import _NormBase as RunningNorm  # BatchNorm and InstanceNorm1d, 2d, 3d

__all__ = ["BatchNorm", "RunningNorm"]
