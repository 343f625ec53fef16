import numpy as np
import torch

from headstart.callbacks.figures import _surest, _Wrong, confusion_figure, wrong_figure

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
    titles = [axes.get_title() for axes in figure.axes]
    sure = [LOGITS[2].softmax(0).max().item(), LOGITS[3].softmax(0).max().item()]
    assert titles == [f"cat as bee {sure[0]:.2f}", f"bee as ant {sure[1]:.2f}"]
    assert [float(axes.images[0].get_array().mean()) for axes in figure.axes] == [0.25, 0.75]
    assert len(wrong_figure(images, LOGITS, LABELS, NAMES, count=1).axes) == 1


def test_the_surest_wrong_predictions_of_all_ranks_keep_their_images():
    def of_rank(*logits):
        logits = torch.tensor(logits)
        wrong = torch.arange(len(logits)) + 1  # all are taken for class 0
        return _Wrong(torch.stack([logits, -logits], dim=1), wrong, logits[:, None, None, None])

    ranks = [of_rank(1.0, 5.0), _Wrong.none(), of_rank(3.0, 0.5, 4.0)]
    kept = _surest(ranks, 3)
    assert kept.images.flatten().tolist() == [5, 4, 3]
    assert kept.labels.tolist() == [2, 3, 1]
    assert len(_surest(ranks, 0).images) == 0
