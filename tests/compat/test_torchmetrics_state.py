"""What compat/torchmetrics_state.py relies on. Tried: torchmetrics 1.4.0 and 1.9.0."""

import torch
from torch import nn
from torchmetrics import CatMetric, MeanMetric, MetricCollection
from torchmetrics.classification import MulticlassAccuracy, MulticlassF1Score

from headstart.compat.torchmetrics_state import metric_states, restore_metric_states


class Measured(nn.Module):
    def __init__(self):
        super().__init__()
        self.mean, self.unused, self.list = MeanMetric(), MeanMetric(), CatMetric()
        counts = {"accuracy": MulticlassAccuracy(3, average="macro"), "f1": MulticlassF1Score(3)}
        self.pair = MetricCollection(counts, compute_groups=True)  # both count the same, and share it

    def see(self, logits, label):
        self.mean.update(logits.mean())
        self.list.update(logits[:, 0])
        self.pair.update(logits, label)

    def values(self):
        return {"mean": self.mean.compute(), "list": self.list.compute(), **self.pair.compute()}


def batches():
    drawn = torch.Generator().manual_seed(0)
    return [(torch.randn(6, 3, generator=drawn), torch.randint(3, (6,), generator=drawn)) for _ in range(3)]


def test_restored_metrics_go_on_as_if_they_had_seen_all():
    whole, first, second = Measured(), Measured(), Measured()
    for logits, label in batches():
        whole.see(logits, label)
    for logits, label in batches()[:2]:
        first.see(logits, label)
    first.values()  # which each metric remembers
    restore_metric_states(second, metric_states(first))
    second.see(*batches()[2])
    assert second.mean.update_count == 3
    for name, value in whole.values().items():
        assert torch.equal(second.values()[name], value), name


def test_a_value_that_was_computed_before_the_restoring_is_not_given_again():
    full, other = Measured(), Measured()
    full.see(*batches()[0])
    other.see(*batches()[1])
    other.values()
    restore_metric_states(other, metric_states(full))
    assert torch.equal(other.mean.compute(), full.mean.compute())


def test_metrics_that_have_seen_nothing_are_left_out_and_those_that_share_a_state_are_not():
    measured = Measured()
    measured.see(*batches()[0])
    measured.see(*batches()[1])
    states = metric_states(measured)
    assert states.keys() == {"mean", "list", "pair.accuracy", "pair.f1"}
    assert torch.equal(states["pair.f1"]["tp"], states["pair.accuracy"]["tp"])
    assert states["pair.f1"]["tp"].sum() > 0
