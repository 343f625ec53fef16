"""Pictures of the confusion matrix and of wrong predictions."""

import numpy as np
import torch

from headstart.callbacks.predictions.prediction_pictures import confusion_figure, wrong_figure
from headstart.callbacks.predictions.surest_errors import SurestErrors, surest_errors

NAMES = ("ant", "bee", "cat")
LOGITS = torch.tensor([[5.0, 0, 0], [0, 1, 0], [0, 4, 0], [3, 0, 0], [0, 0, 2]])
LABELS = torch.tensor([0, 1, 2, 1, 2])  # the third is a cat seen as a bee, the fourth a bee seen as an ant


def test_the_confusion_matrix_has_the_true_classes_in_rows():
    axes = confusion_figure(LOGITS, LABELS, NAMES).axes[0]
    shares = axes.images[0].get_array()
    assert np.allclose(shares, [[1, 0, 0], [0.5, 0.5, 0], [0, 0.5, 0.5]])
    assert axes.get_ylabel() == "true"
    counts = {(round(t.get_position()[1]), round(t.get_position()[0])): t.get_text() for t in axes.texts}
    assert counts == {(0, 0): "1", (1, 0): "1", (1, 1): "1", (2, 1): "1", (2, 2): "1"}


def test_wrong_predictions_stand_with_their_images_the_surest_first():
    images = torch.stack([torch.full((1, 2, 2), 0.25), torch.full((1, 2, 2), 0.75)])  # of the third and the fourth
    figure = wrong_figure(images, LOGITS, LABELS, NAMES, count=5)
    (axes,) = figure.axes
    titles = [text.get_text() for text in axes.texts]
    sure = [LOGITS[2].softmax(0).max().item(), LOGITS[3].softmax(0).max().item()]
    assert titles == [f"cat as bee {sure[0]:.2f}", f"bee as ant {sure[1]:.2f}"]
    assert [float(image.get_array().mean()) for image in axes.images] == [0.25, 0.75]
    assert [text.get_position()[0] for text in axes.texts] == [np.mean(image.get_extent()[:2]) for image in axes.images]
    assert len(wrong_figure(images, LOGITS, LABELS, NAMES, count=1).axes[0].images) == 1


def test_long_names_of_classes_stay_within_the_place_of_their_image():
    names = tuple(f"{name} of the mountains of the north" for name in NAMES)
    (axes,) = wrong_figure(torch.rand(2, 3, 8, 8), LOGITS, LABELS, names, count=5).axes
    axes.figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in axes.texts]
    assert boxes[0].x1 <= boxes[1].x0
    assert all(box.y1 <= axes.bbox.y1 for box in boxes)


def test_the_surest_wrong_predictions_of_all_ranks_keep_their_images():
    def of_rank(*logits):
        logits = torch.tensor(logits)
        wrong = torch.arange(len(logits)) + 1  # all are taken for class 0
        return SurestErrors(torch.stack([logits, -logits], dim=1), wrong, logits[:, None, None, None])

    ranks = [of_rank(1.0, 5.0), SurestErrors.none(), of_rank(3.0, 0.5, 4.0)]
    kept = surest_errors(ranks, 3)
    assert kept.images.flatten().tolist() == [5, 4, 3]
    assert kept.labels.tolist() == [2, 3, 1]
    assert len(surest_errors(ranks, 0).images) == 0
