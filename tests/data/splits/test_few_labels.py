"""Exactly so many target images of a class come with their labels, and all others without."""

from itertools import chain

import numpy as np
import pytest
from pytorch_lightning.callbacks import LambdaCallback

from headstart.data.datasets.paired_domains import Domains, paired_data
from headstart.data.splits.few_labels import FewLabels
from headstart.data.splits.hidden_labels import HiddenLabelError
from headstart.types import UserError
from numbered import SIZES, Witness, numbered, numbers, trainer

TRUE = np.sort(np.arange(SIZES["train"]) % 3)  # the class of the image that is this number
CLASSES = ("a", "b", "c")


def told(data):
    """{image: label} of all training images of a data set."""
    found = {}
    for batch in data.plain_dataloader("train"):
        found |= dict(zip(numbers(batch), batch.label.tolist(), strict=True))
    return found


def few(count, *, seed=0, class_names=CLASSES):
    return FewLabels(numbered(seed=seed), per_class=count, class_names=class_names)


@pytest.mark.parametrize("unlabelled", [False, True])
@pytest.mark.parametrize("num_workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_two_labels_a_class_reach_training_and_all_other_labels_raise(tmp_path, num_workers, unlabelled):
    data = Domains(
        source=numbered(num_workers=num_workers), target=numbered(seed=1, num_workers=num_workers),
        unlabelled=unlabelled, target_labels=2,
    )  # fmt: skip
    labels, hidden = {}, set()

    def read(engine, module, batch, *_):
        labels.update(zip(numbers(batch.labelled), batch.labelled.label.tolist(), strict=True))
        target = batch if unlabelled else batch.paired
        with pytest.raises(HiddenLabelError):
            target.label.tolist()
        hidden.update(numbers(target))

    trainer(tmp_path, max_epochs=2, callbacks=[LambdaCallback(on_train_batch_start=read)]).fit(
        Witness(), datamodule=data
    )
    assert sorted(labels.values()) == [0, 0, 1, 1, 2, 2]
    assert all(TRUE[image] == label for image, label in labels.items())
    assert hidden == set(range(SIZES["train"]))  # those with labels are among them, too


def test_the_labelled_images_of_a_seed_are_among_its_more_and_other_seeds_have_others():
    assert told(few(2)).items() <= told(few(4)).items()
    assert told(few(2)) != told(few(2, seed=1))
    assert len(told(few(7))) == 21


def test_labels_are_numbered_as_the_sources_classes():
    own, others = told(few(2)), told(few(2, class_names=("c", "a", "b")))
    assert others == {image: {0: 1, 1: 2, 2: 0}[label] for image, label in own.items()}


def test_more_labels_than_images_are_an_error_that_says_how_many_there_are():
    with pytest.raises(UserError, match=r"target_labels=8 .* a has 7 training images; try target_labels=7"):
        _ = few(8).splits


def test_a_target_whose_labels_are_all_read_has_no_few_of_them():
    with pytest.raises(UserError, match=r"target\.shots"):
        paired_data(numbered(), numbered(seed=1), main="target", target_labels=2)


def test_an_unlabelled_run_reads_no_training_image_of_the_source(tmp_path):
    class Gone:
        label = np.zeros(SIZES["train"], np.int64)

        def at(self, positions):
            raise AssertionError("a training image of the source was read")

    source = numbered()
    source.splits["train"] = Gone()
    data = Domains(source=source, target=numbered(seed=1), unlabelled=True, brings_paired=False)
    witness = Witness()
    trainer(tmp_path, max_epochs=1).fit(witness, datamodule=data)
    assert sorted(chain(*witness.seen[0])) == list(range(SIZES["train"]))
    assert data.sizes == SIZES
    assert data.contents("val") == numbered().contents("val")
