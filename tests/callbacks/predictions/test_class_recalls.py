"""A class's recall is the share of its test images that are recognised."""

import torch

from headstart.callbacks.predictions.class_recalls import right_and_all


def test_images_are_counted_by_their_true_class_as_a_person_counts_them():
    logits = torch.tensor([[5.0, 0, 0, 0], [0, 1, 0, 0], [0, 4, 0, 0], [3, 0, 0, 0], [0, 0, 2, 0]])
    labels = torch.tensor([0, 1, 2, 1, 2])  # the third is a 2 seen as a 1, the fourth a 1 seen as a 0; no 3
    assert right_and_all(logits, labels).tolist() == [[1, 1, 1, 0], [1, 2, 2, 0]]
