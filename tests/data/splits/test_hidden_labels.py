"""A target's labels are out of reach, and a run on two domains is tested on the right images and labels."""

import pickle

import numpy as np
import pytest
import torch
from pytorch_lightning.callbacks import LambdaCallback

from headstart.data.datasets.paired_domains import Domains, paired_data
from headstart.data.splits.hidden_labels import HiddenLabelError, HiddenLabels, Unlabelled
from headstart.data.splits.interleaved_classes import by_turns
from headstart.types import UserError
from numbered import SIZES, Witness, numbered, numbers, trainer


def domains(**settings):
    return Domains(source=numbered(**settings), target=numbered(seed=1, **settings))


@pytest.mark.parametrize(
    "read",
    [
        lambda label: label.sum(),
        lambda label: label.numpy(),
        lambda label: np.asarray(label),
        list,
        lambda label: label == 1 or label.tolist(),
        lambda label: label[:2].tolist(),
        lambda label: label[torch.tensor([0, 1])].cpu(),
    ],
)
def test_whoever_reads_hidden_labels_gets_an_error(read):
    with pytest.raises(HiddenLabelError, match="out of reach of training and of model selection"):
        read(HiddenLabels(3))


def test_hidden_labels_say_how_many_they_are_and_travel_to_workers():
    label = pickle.loads(pickle.dumps(HiddenLabels(5)))
    assert len(label) == 5
    assert len(label[torch.tensor([0, 3])]) == 2


@pytest.mark.parametrize("num_workers", [0, 2])
def test_in_a_training_step_the_paired_labels_cannot_be_read(tmp_path, num_workers):
    seen = []

    def read(engine, module, batch, *_):
        seen.append(len(batch.paired.label))
        with pytest.raises(HiddenLabelError):
            batch.paired.label.float()

    callback = LambdaCallback(on_train_batch_start=read)
    trainer(tmp_path, max_epochs=1, callbacks=[callback]).fit(Witness(), datamodule=domains(num_workers=num_workers))
    assert sum(seen) == SIZES["train"]


def test_neither_the_loaders_nor_the_splits_of_the_unlabelled_target_know_labels():
    data = Unlabelled(numbered())
    assert set(data.splits) == {"train", "val"}
    for batch in [*data.train_dataloader(), *data.plain_dataloader("train"), *data.plain_dataloader("val")]:
        with pytest.raises(HiddenLabelError):
            batch.label.tolist()
    with pytest.raises(HiddenLabelError):
        np.asarray(data.splits["train"].label)


def test_the_order_of_unlabelled_images_says_nothing_of_their_labels():
    """In labelled splits classes take turns, so that a place would tell the class."""
    data = numbered()
    turns = data.splits["train"]
    hidden = Unlabelled(data)
    places = np.concatenate([numbers(batch) for batch in hidden.plain_dataloader("train")])
    assert sorted(places) == list(range(SIZES["train"]))
    labels = dict(zip(turns.image[:, 0, 0].tolist(), turns.label.tolist(), strict=True))  # type: ignore[attr-defined]
    told = np.array([labels[place] for place in places])
    assert not np.array_equal(told, told[by_turns(told)])
    assert len(set(told[:3])) < 3 or len(set(told[3:6])) < 3 or len(set(told[6:9])) < 3


def test_a_target_whose_images_are_drawn_by_their_labels_is_refused():
    target = numbered(seed=1)
    target.sampler = "balanced"
    with pytest.raises(UserError, match=r"target\.sampler=balanced draws images by their labels.*target\.sampler=null"):
        Domains(source=numbered(), target=target)


@pytest.mark.parametrize("main", ["source", "target", "unlabelled"])
@pytest.mark.parametrize("role", ["source", "target"])
def test_numbers_of_either_data_set_are_no_classes_to_learn_from_both(main, role):
    both = {"source": numbered(), "target": numbered(seed=1)}
    both[role].regression = True
    with pytest.raises(UserError, match=f"images of the {role} must be each of one class, and they have numbers"):
        paired_data(**both, main=main)


def test_training_and_validation_are_the_sources_and_the_test_is_the_targets():
    data = domains()
    source, target = numbered(), numbered(seed=1)
    assert data.sizes == SIZES
    for split, of in (("train", source), ("val", source), ("test", target)):
        assert data.contents(split) == of.contents(split)
        assert data.names(split) == of.names(split)


def test_classes_are_matched_by_name_and_numbered_as_the_sources():
    target = numbered()
    target.class_names = ("c", "a", "b")  # what was 0 is now c
    data = Domains(source=numbered(), target=target)
    batch = next(iter(data.plain_dataloader("test")))
    own = next(iter(numbered().plain_dataloader("test")))
    assert torch.equal(batch.image, own.image)
    assert batch.label.tolist() == [{0: 2, 1: 0, 2: 1}[number] for number in own.label.tolist()]


def test_other_classes_are_an_error_that_lists_both():
    target = numbered()
    target.class_names = ("a", "b", "d")
    with pytest.raises(UserError, match=r"source has a, b, c; the target has a, b, d; only one of them has c, d"):
        Domains(source=numbered(), target=target)


def test_target_images_drawn_by_their_labels_are_an_error():
    target = numbered()
    target.shots = 5
    with pytest.raises(UserError, match=r"target\.shots=5; try target\.shots=null"):
        Domains(source=numbered(), target=target)
