"""Images are drawn at random, each in one split, and each unchanged."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from PIL import Image

from composed import CONF
from data_conf import keywords
from headstart.compat.hydra.hydra_instantiation import instantiate
from headstart.data.datasets.digits import Digits
from headstart.data.datasets.in_memory import InMemory, LabelledImages
from headstart.data.splits.image_budget import ImageBudget, JoinedSplit, drawing_order  # type: ignore[attr-defined]
from headstart.types import Pixels, UserError

PIXELS = Pixels(4, 1, (0.0,), (1.0,))


class Numbered(InMemory):
    """Images of which each is its own number; the last classes are rare."""

    def __init__(self, *, sizes=(300, 90, 40), classes=6, seed=0):
        super().__init__(
            class_names=tuple("abcdefghij"[:classes]), batch_size=8, num_workers=0, augment=None, pixels=PIXELS,
            seed=seed,
        )  # fmt: skip
        self._counts = dict(zip(("train", "val", "test"), sizes, strict=True))

    def load(self):
        splits, first = {}, 0
        for split, count in self._counts.items():
            number = np.arange(first, first + count)
            image = np.stack([number % 256, number // 256], axis=1).astype(np.uint8).reshape(count, 1, 2)
            label = np.minimum(np.arange(count) % 100, self.num_classes - 1)
            label[number % 100 >= self.num_classes] = 0
            splits[split] = LabelledImages(image, label)
            first += count
        return splits


def numbers(data, split):
    """What the images of a split are, and their labels."""
    image = data.splits[split].at(np.arange(data.sizes[split])).to(torch.int64)
    return (image[:, 0, 0] + 256 * image[:, 0, 1]).tolist()


def drawn(train=100, val=20, *, merged=False, **own):
    return ImageBudget(data=Numbered(**own), train=train, val=val, merged=merged)


def test_a_draw_takes_so_many_of_train_and_of_val_and_all_of_test():
    data, whole = drawn(), Numbered()
    assert data.sizes == {"train": 100, "val": 20, "test": 40}
    assert set(numbers(data, "train")) < set(range(300))
    assert set(numbers(data, "val")) < set(range(300, 390))
    assert numbers(data, "test") == numbers(whole, "test")


def test_the_final_run_learns_from_both_draws_and_looks_at_other_images_of_val():
    first, final = drawn(), drawn(merged=True)
    assert final.sizes == {"train": 120, "val": 20, "test": 40}
    assert sorted(numbers(final, "train")) == sorted(numbers(first, "train") + numbers(first, "val"))
    assert set(numbers(final, "val")) < set(range(300, 390)) - set(numbers(first, "val"))


def test_where_val_has_no_others_it_is_said_how_many_are_trained_on(caplog):
    caplog.set_level("INFO")
    final = drawn(val=60, merged=True)  # of 90: the last 60 are 30 others, and 30 that are trained on
    assert len(set(numbers(final, "val")) & set(numbers(final, "train"))) == 30
    assert "val has no 60 others: 30 of its images are also trained on" in caplog.text


def test_each_image_keeps_its_label_its_name_and_its_digest():
    for data in (drawn(), drawn(merged=True)):
        whole = Numbered()
        of = {}
        for split in ("train", "val", "test"):
            own = whole.splits[split].label.tolist()
            told = zip(numbers(whole, split), own, whole.names(split), whole.contents(split), strict=True)
            of |= {number: rest for number, *rest in told}
        for split in ("train", "val", "test"):
            said = [data.splits[split].label.tolist(), data.names(split), data.contents(split)]
            for number, *rest in zip(numbers(data, split), *said, strict=True):
                assert rest == of[number]


def test_a_seeds_smaller_draw_lies_in_its_larger_one_and_another_seed_draws_others():
    assert set(numbers(drawn(50), "train")) < set(numbers(drawn(100), "train"))
    assert set(numbers(drawn(), "train")) != set(numbers(drawn(seed=1), "train"))
    assert numbers(drawn(), "train") == numbers(drawn(), "train")


def test_no_class_is_without_a_training_image_however_rare_it_is():
    label = np.zeros(5000, np.int64)
    label[[17, 4000]] = 1, 2
    names = [str(number) for number in range(5000)]
    for seed in range(5):
        assert set(label[drawing_order(names, label, str(seed), classes_first=True)[:3]]) == {0, 1, 2}
        assert sorted(drawing_order(names, label, str(seed), classes_first=True)) == list(range(5000))


def test_but_for_that_chance_does_not_look_at_classes():
    rng = np.random.default_rng(0)
    label = (rng.random(20_000) < 0.1).astype(np.int64)  # one class in ten
    order = drawing_order([str(n) for n in range(20_000)], label, "seed 0", classes_first=True)
    share = label[order[:2000]].mean()
    assert share == pytest.approx(label.mean(), abs=4 * np.sqrt(0.1 * 0.9 / 2000))  # four standard errors


def test_two_images_of_one_name_are_both_drawn():
    order = drawing_order(["same", "same", "other"], np.zeros(3, np.int64), "seed 0", classes_first=False)
    assert sorted(order) == [0, 1, 2]


def test_splits_joined_give_their_images_in_any_order():
    image = np.arange(8, dtype=np.uint8).reshape(8, 1, 1)
    label = np.arange(8)
    joined = JoinedSplit([LabelledImages(image[:3], label[:3]), LabelledImages(image[3:], label[3:])])
    for positions in ([7, 0, 3, 2], [4, 3], [1], [2, 2, 6]):
        assert joined.at(np.array(positions)).flatten().tolist() == positions
        taken = joined.taken(np.array(positions))
        assert taken.label.tolist() == positions
        assert taken.at(np.arange(len(positions))[::-1].copy()).flatten().tolist() == positions[::-1]


def test_of_several_labels_an_image_none_comes_first():
    label = np.eye(4, dtype=np.float32)
    plain = drawing_order(list("abcd"), label, "seed 0", classes_first=False)
    assert drawing_order(list("abcd"), label, "seed 0", classes_first=True).tolist() == plain.tolist()


def test_where_there_are_fewer_images_all_of_them_are_taken(caplog):
    caplog.set_level("INFO")
    pixels = Pixels(32, 1, (0.5,), (0.5,))
    digits = Digits(**keywords("digits") | {"shots": None}, pixels=pixels, seed=0)
    data = ImageBudget(data=digits, train=800, val=200, merged=True)
    assert data.sizes == {"train": 577 + 200, "val": 200, "test": 720}
    assert "train has fewer than 800 images, so all of them are taken" in caplog.text


def test_files_are_drawn_under_their_own_names(tmp_path):
    for number in range(40):
        path = tmp_path / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(np.full((8, 8, 3), number, np.uint8)).save(path)
    with initialize_config_dir(str(CONF), version_base="1.3"):
        node = compose("config", overrides=["data@target=image_folder", f"target.root={tmp_path}"]).target
    data = instantiate(node, pixels=Pixels(8, 3, (0.0,) * 3, (1.0,) * 3), seed=0)
    final = ImageBudget(data=data, train=10, val=4, merged=True)
    assert final.sizes == {"train": 14, "val": 4, "test": 8}  # of 40: 8 for test, 6 for val by val_share of 32, 26 left
    for split in final.sizes:
        grey = final.splits[split].at(np.arange(final.sizes[split]))[:, 0, 0, 0].tolist()
        assert [int(Path(name).stem) for name in final.names(split)] == grey


def test_what_cannot_be_drawn_from_is_one_error():
    with pytest.raises(UserError, match="each of 6 classes needs a training image, got 5 images"):
        drawn(5)
    with pytest.raises(UserError, match="that is no stream, got list"):
        ImageBudget(data=[], train=5, val=5, merged=False)
    with pytest.raises(UserError, match="a split is one of"):
        drawn().names("tset")
