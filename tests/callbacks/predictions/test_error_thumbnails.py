"""Thumbnails of the most confident errors: the images, names and confidences of the predictions that were wrong."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from headstart.callbacks.predictions.error_thumbnails import SIDE, error_records, thumbnail
from headstart.callbacks.predictions.surest_errors import SurestErrors
from headstart.modules.labels.multi_label import SeveralLabels
from headstart.modules.labels.single_label import OneLabel

NAMES = ("ant", "bee", "cat")


def pixels(webp: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(webp)))


def test_a_record_has_the_names_the_confidence_and_the_number_of_its_image():
    logits, labels = torch.tensor([[0.0, 4.0, 0.0], [3.0, 0.0, 0.0]]), torch.tensor([2, 1])
    images = torch.stack([torch.full((3, 8, 8), 0.25), torch.full((3, 8, 8), 0.75)])
    numbers = np.array([2**63, 5], np.uint64)
    first, second = error_records(SurestErrors(logits, labels, torch.arange(2)), images, numbers, NAMES, OneLabel)
    assert (first.true, first.predicted, first.image) == ("cat", "bee", 2**63)
    assert first.confidence == pytest.approx(np.exp(4) / (np.exp(4) + 2), abs=1e-4)
    assert (second.true, second.predicted, second.image) == ("bee", "ant", 5)
    assert abs(pixels(first.webp).mean() - 64) < 3
    assert abs(pixels(second.webp).mean() - 191) < 3


def test_of_several_labels_the_words_say_the_error():
    wrong = SurestErrors(torch.tensor([[9.0, -9.0, -9.0]]), torch.tensor([[0, 0, 1]]), torch.zeros(1))
    (record,) = error_records(wrong, torch.rand(1, 1, 4, 4), None, NAMES, SeveralLabels)
    assert (record.true, record.confidence, record.image) == ("", None, None)
    assert record.mistake == "no ant, said 1.00"


@pytest.mark.parametrize(
    ("shape", "size"), [((3, 400, 200), (SIDE, SIDE // 2)), ((1, 8, 8), (8, 8)), ((5, 96, 30), (96, 30))]
)
def test_a_thumbnail_keeps_the_proportions_and_is_never_enlarged(shape, size):
    webp = thumbnail(torch.rand(shape))
    assert pixels(webp).shape == (*size, 3)
    assert len(webp) < 16 * 1024
