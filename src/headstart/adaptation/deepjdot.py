"""DeepJDOT: optimal transport of a batch's source images to its target images, in features and labels at once."""

from __future__ import annotations

from importlib import import_module
from typing import Annotated, Any

import torch
from annotated_types import Ge
from torch import Tensor
from torch.nn.functional import log_softmax

from headstart.adaptation.adaptation import Adaptation, Head, Ramp, Side
from headstart.types import UserError


class DeepJDOT(Adaptation):
    """strength * the cost of the cheapest transport from the source's images to the target's.

    Damodaran et al. 2018, DeepJDOT (arXiv:1803.10081), eqs. 6 to 8: the cost of a pair is feature_cost * the squared
    distance of its features + label_cost * the cross-entropy of the target's prediction with the source's label; the
    plan is that of optimal transport for these costs (POT's exact solver), and is no function of the weights when
    these learn. Each batch is transported by itself.

    Args:
        weight: As of any adaptation.
        ramp: As of any adaptation.
        feature_cost: The paper's alpha.
        label_cost: The paper's lambda_t.
    """

    measures = ("feature_distance", "label_loss")

    def __init__(
        self,
        *,
        weight: Annotated[float, Ge(0)],
        ramp: Ramp,
        feature_cost: Annotated[float, Ge(0)],
        label_cost: Annotated[float, Ge(0)],
    ) -> None:
        super().__init__(weight=weight, ramp=ramp)
        self.feature_cost, self.label_cost = feature_cost, label_cost
        transport_library()

    def forward(self, *, source: Side, target: Side, head: Head, strength: float) -> Tensor:
        assert source.label is not None
        distance = squared_distances_between(source.features.float(), target.features.float())
        mistake = -log_softmax(target.logits.float(), dim=1)[:, source.label].T  # (n_s, n_t)
        cost = self.feature_cost * distance + self.label_cost * mistake
        plan = transport_plan(cost.detach())
        self.metrics = {
            "feature_distance": (plan * distance.detach()).sum(),
            "label_loss": (plan * mistake.detach()).sum(),
        }
        return strength * (plan * cost).sum()


def squared_distances_between(source: Tensor, target: Tensor) -> Tensor:
    """|s_i - t_j|^2 of the rows of source (n, d) and target (m, d) -> (n, m), never negative."""
    squares = source.square().sum(dim=1)[:, None] + target.square().sum(dim=1)[None, :]
    return (squares - 2 * source @ target.T).clamp(min=0)


def transport_plan(cost: Tensor) -> Tensor:
    """The plan (n, m) of optimal transport between n and m equally heavy points: its sum is 1, each row's 1 / n."""
    library = transport_library()
    masses = [torch.full((count,), 1 / count, dtype=torch.float64).numpy() for count in cost.shape]
    plan = library.emd(*masses, cost.double().cpu().numpy())
    return torch.from_numpy(plan).to(cost)


def transport_library() -> Any:
    """POT. Raises UserError where it is not installed."""
    try:
        return import_module("ot")
    except ModuleNotFoundError as error:
        raise UserError(
            "adaptation=deepjdot needs POT (Python Optimal Transport), which is not installed; try "
            "pip install 'headstart[ot]'"
        ) from error
