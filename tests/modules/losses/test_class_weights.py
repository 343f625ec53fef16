"""Classes count in the loss as the formulas say."""

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight

from composed import composed
from headstart.modules.labels.multi_label import SeveralLabels
from headstart.modules.labels.single_label import OneLabel
from headstart.modules.losses.class_weights import balanced, effective, effective_number, given_weights
from headstart.runs.model_parts.assembly import assembled
from headstart.types import UserError

COUNTS = torch.tensor([50.0, 10.0, 3.0, 37.0], dtype=torch.float64)
NAMES = ("ants", "bees", "cats", "dogs")


def test_balanced_weights_are_those_of_scikit_learn():
    label = np.repeat(np.arange(4), COUNTS.long().numpy())
    want = compute_class_weight("balanced", classes=np.arange(4), y=label)
    np.testing.assert_allclose(balanced(COUNTS).numpy(), want, rtol=1e-12)


def test_the_effective_number_is_the_sum_of_a_geometric_series():
    for count in (1, 2, 7):
        want = sum(0.9**power for power in range(count))
        assert effective_number(torch.tensor([float(count)]), 0.9).item() == pytest.approx(want)


def test_effective_weights_sum_to_the_classes_and_lie_between_equal_and_balanced_ones():
    found = effective(COUNTS)
    assert found.sum().item() == pytest.approx(4)
    torch.testing.assert_close(effective(COUNTS, beta=0.0), torch.ones(4, dtype=torch.float64))
    inverse = balanced(COUNTS) / balanced(COUNTS).sum() * 4
    torch.testing.assert_close(effective(COUNTS, beta=1 - 1e-9), inverse, rtol=1e-5, atol=0)
    assert 1 < found[2] / found[0] < inverse[2] / inverse[0]


def test_of_several_labels_the_images_with_a_class_weigh_as_much_as_those_without():
    having = torch.tensor([25.0, 1.0, 100.0], dtype=torch.float64)
    found = SeveralLabels(3).balancing(having, 100 - having, "balanced")
    assert found.tolist() == [3, 99, 1]  # the last has no image without it
    nearly = SeveralLabels(3).balancing(having, 100 - having, "effective")
    assert 1 < nearly[0] < 3
    assert 1 < nearly[1] < 99
    assert nearly[2] == 1


def test_the_training_images_labels_give_the_weights_of_several_labels():
    """Of 10 images 3 have the first class and 5 the second: 7 / 3 and 5 / 5."""
    labels = SeveralLabels(2)
    labels.weigh("balanced", torch.tensor([[1.0, 1]] * 3 + [[0, 1]] * 2 + [[0, 0]] * 5), ("ants", "bees"))
    assert labels.weight.tolist() == pytest.approx([7 / 3, 1])


def test_of_one_label_the_kind_gives_the_weights_of_its_counts():
    kind, others = OneLabel(4), COUNTS.sum() - COUNTS
    torch.testing.assert_close(kind.balancing(COUNTS, others, "balanced"), balanced(COUNTS))
    torch.testing.assert_close(kind.balancing(COUNTS, others, "effective"), effective(COUNTS))


def test_a_list_is_in_the_order_of_the_classes_and_a_mapping_may_leave_some_out():
    assert given_weights([1, 2, 3, 4], NAMES).tolist() == [1, 2, 3, 4]
    assert given_weights({"cats": 5, "bees": 0.5}, NAMES).tolist() == [1, 0.5, 5, 1]
    assert given_weights({8: 5}, ("7", "8")).tolist() == [1, 5]  # YAML reads the name of a digit as a number


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([1, 2], r"for each of the 4 classes \(ants, bees, cats, dogs\), got 2"),
        ({"cat": 5}, "names classes of the target, ants, bees, cats, dogs, got cat; did you mean cats"),
        ({"cat": 5, "wolf": 1}, "got cat, wolf; did you mean cats"),
        ([1, 2, 3, 0], "above 0, got 1, 2, 3, 0"),
        ([1, 2, 3, float("nan")], "above 0, got 1, 2, 3, nan"),
    ],
)
def test_weights_that_do_not_fit_the_classes_are_an_error_that_names_them(given, message):
    with pytest.raises(UserError, match=message):
        given_weights(given, NAMES)


@pytest.mark.parametrize(
    ("given", "want"),
    [("balanced", [10 / (10 * n) for n in (1,) * 10]), ("[1,2,3,4,5,6,7,8,9,10]", range(1, 11)), ("{8: 3}", None)],
)
def test_the_command_lines_weights_reach_the_loss_of_training_and_no_checkpoint(given, want):
    module = assembled(composed("mode=scratch", f"module.class_weights={given}")).module
    module.weigh(torch.arange(10), tuple("0123456789"))
    want = [3.0 if digit == 8 else 1.0 for digit in range(10)] if want is None else [*map(float, want)]
    want = [weight / (sum(want) / 10) for weight in want]  # the training images weigh 1 on average
    assert module.labels.weight.tolist() == pytest.approx(want)
    assert not [name for name in module.state_dict() if name.startswith("labels")]
    logits, label = torch.randn(6, 10), torch.tensor([8, 8, 1, 2, 3, 8])
    terms = torch.nn.functional.cross_entropy(logits, label, weight=torch.tensor(want), reduction="none")
    wanted = terms.mean()
    torch.testing.assert_close(module.loss(logits, label), wanted)
    torch.testing.assert_close(module.labels.loss(logits, label), torch.nn.functional.cross_entropy(logits, label))


@pytest.mark.parametrize("given", ["balanced", "effective", [3.0, 0.5, 7.0]])
def test_over_all_training_images_the_loss_is_torchs_weighted_one_in_whatever_batches_they_come(given):
    """Of 12 images in uneven batches: the mean of the batches' losses by their images is the loss of all."""
    label = torch.tensor([0] * 7 + [1] * 4 + [2])
    labels = OneLabel(3)
    labels.weigh(given, label, ("ants", "bees", "cats"))
    logits, weight = torch.randn(12, 3), labels.weight
    whole = torch.nn.functional.cross_entropy(logits, label, weight=weight)
    for order in (torch.arange(12), torch.randperm(12)):
        parts = order.split(5)
        losses = [labels.training_loss(logits[part], label[part], smoothing=0) * len(part) for part in parts]
        torch.testing.assert_close(sum(losses) / 12, whole)


def test_balanced_weights_of_a_class_without_images_are_an_error():
    module = assembled(composed("mode=scratch", "module.class_weights=balanced")).module
    with pytest.raises(UserError, match="needs a training image of each class, there is none of 9"):
        module.weigh(torch.arange(9), tuple("0123456789"))
