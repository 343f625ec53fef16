"""How long objects are in two domains is measured without labels, and said where the two differ."""

import logging

import numpy as np

from headstart.data.datasets.in_memory import InMemory, LabelledImages
from headstart.data.datasets.paired_domains import Domains
from headstart.runs.training.object_lengths import log_lengths, median_length
from headstart.types import Pixels

GREY = Pixels(size=28, channels=1, mean=(0.5,), std=(0.5,))


def blocks(length, *, frame=28, count=9):
    image = np.zeros((count, frame, frame), np.uint8)
    image[:, 1 : 1 + length, 2:5] = 200
    return LabelledImages(image, np.arange(count) % 2)


class Blocks(InMemory):
    """Blocks of one length."""

    def __init__(self, length, frame=28, box=None):
        loading = {"batch_size": 4, "num_workers": 0, "augment": None, "pixels": GREY, "seed": 0}
        super().__init__(class_names=("a", "b"), box=box, **loading)
        self.length, self.frame = length, frame

    def load(self):
        return {split: blocks(self.length, frame=self.frame) for split in ("train", "val", "test")}


def logged(caplog, data):
    caplog.clear()
    with caplog.at_level(logging.INFO):
        log_lengths(data)
    return [record.message for record in caplog.records]


def test_the_median_is_in_pixels_of_the_backbones_frame():
    assert median_length(blocks(12), GREY) == 12
    assert median_length(blocks(12, frame=14), GREY) == 24


def test_photos_have_no_length():
    noise = np.random.default_rng(0).integers(0, 256, (9, 28, 28), dtype=np.uint8)
    assert median_length(LabelledImages(noise, np.zeros(9, np.int64)), GREY) is None


def test_a_run_says_what_draws_both_alike_and_nothing_once_they_are(caplog):
    (line,) = logged(caplog, Domains(source=Blocks(20), target=Blocks(13, frame=14)))
    assert "20 of 28 pixels long in the source's training images and 26 in the target's" in line
    assert line.endswith("source.box=20 target.box=20 draws both alike")
    assert not logged(caplog, Domains(source=Blocks(20, box=20), target=Blocks(13, frame=14, box=20)))


def test_nothing_is_measured_where_a_run_does_not_adapt(caplog):
    assert not logged(caplog, Blocks(20))
