"""A result says which images, which hardware, which versions and which commit it comes from."""

import subprocess
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from composed import composed
from headstart.data.datasets.in_memory import LabelledImages
from headstart.runs.model_parts.assembly import assembled
from headstart.runs.outcome import data_digest as module
from headstart.runs.outcome.data_digest import data_digest
from headstart.runs.outcome.git_state import git_state
from headstart.runs.outcome.hardware import hardware
from headstart.runs.outcome.library_versions import versions


def of(*overrides):
    data = assembled(composed(*overrides)).data
    data.setup("fit")
    return data_digest(data)


class Data:
    """Two images of a split, which a test may change."""

    def __init__(self, image, label, names=("a", "b")):
        self.split, self.names_ = LabelledImages(np.asarray(image, np.uint8), np.asarray(label)), names
        self.sizes = {"train": 2, "val": 0, "test": 0}

    def contents(self, split):
        return self.split.contents()

    def names(self, split):
        return self.names_

    def plain_dataloader(self, split):
        return SimpleNamespace(labels=torch.as_tensor(self.split.label))


IMAGES = np.arange(8).reshape(2, 2, 2)


def digest(data):
    return data_digest(data)["train"]["digest"]


def test_equal_data_have_equal_digests_and_other_shots_or_seeds_other_ones():
    first = of("seed=0")
    assert first == of("seed=0", "optimizer.lr=0.5")
    assert {split: found["images"] for split, found in first.items()} == {"train": 50, "val": 1027, "test": 720}
    assert {found["of"] for found in first.values()} == {"contents and labels"}
    other = of("seed=1")
    assert other["train"]["digest"] != first["train"]["digest"]
    assert other["test"] == first["test"]  # the digits have a test split of their own


@pytest.mark.parametrize(
    "other",
    [
        Data(IMAGES[::-1], [0, 1]),  # another order
        Data(IMAGES, [1, 0]),  # other labels
        Data(IMAGES + np.array([0, 0, 0, 0, 0, 0, 0, 1]).reshape(2, 2, 2), [0, 1]),  # another pixel
    ],
)
def test_order_label_and_pixel_count(other):
    assert digest(other) != digest(Data(IMAGES, [0, 1]))
    assert digest(Data(IMAGES, [0, 1], names=("c", "d"))) == digest(Data(IMAGES, [0, 1]))


def test_of_many_images_and_of_streams_names_count(monkeypatch):
    monkeypatch.setattr(module, "MOST", 1)
    found = data_digest(Data(IMAGES, [0, 1]))["train"]
    assert found["of"] == "names and labels"
    assert found["digest"] != digest(Data(IMAGES, [0, 1], names=("c", "d")))
    monkeypatch.setattr(module, "MOST", 2)

    class Stream(Data):
        def contents(self, split):
            raise NotImplementedError

    assert data_digest(Stream(IMAGES, [0, 1]))["train"] == found


def test_hidden_labels_are_not_looked_at():
    hidden = Data(IMAGES, [0, 1])
    hidden.plain_dataloader = lambda _: SimpleNamespace()
    assert data_digest(hidden)["train"]["of"] == "contents"


def test_the_commit_of_a_checkout_is_told_with_what_was_changed_since(tmp_path):
    def git(*words):
        identity = ["-c", "user.name=a", "-c", "user.email=a@b.org"]
        return subprocess.run(["git", *identity, *words], cwd=tmp_path, check=True, capture_output=True, text=True)

    assert git_state(tmp_path / "no such folder") is None
    git("init", "-q")
    (tmp_path / "net.py").write_text("width = 4\n")
    git("add", ".")
    git("commit", "-qm", "one")
    head = git("rev-parse", "--short", "HEAD").stdout.strip()
    git_state.cache_clear()
    assert git_state(tmp_path) == head
    (tmp_path / "net.py").write_text("width = 5\n")
    git_state.cache_clear()
    assert git_state(tmp_path) == f"{head}-dirty"


def test_hardware_and_versions_name_what_can_change_a_digit():
    found = hardware(torch.device("cpu"))
    assert found["threads"] == torch.get_num_threads()
    assert found["device"] is None
    assert all(found[key] for key in ("system", "machine", "cpu", "cpu_capability", "cores"))
    assert {"hydra", "timm", "peft", "torch"} <= versions().keys()
