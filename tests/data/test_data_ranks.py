"""Two processes under Lightning see each image once, and go on inside of an epoch with the right ones."""

import json
from itertools import chain

import pytest

import numbered as room
from numbered import SIZES, numbered, passed
from two_processes import run_both


@pytest.fixture(scope="module")
def saw(tmp_path_factory):
    """What each of two processes saw, by run and rank."""
    folder = tmp_path_factory.mktemp("ranks")
    run_both(room.__file__, folder, seconds=120)
    return {run: [json.loads((folder / f"{run}-{rank}.json").read_text()) for rank in range(2)]
            for run in ("whole", "resumed")}  # fmt: skip


def test_two_processes_train_on_the_shares_of_each_epoch(saw):
    for epoch in range(3):
        one, two = (run["seen"][str(epoch)] for run in saw["whole"])
        assert [len(batch) for batch in one] == [len(batch) for batch in two] == [4, 4, 2]
        alone = passed(numbered(batch_size=8).train_dataloader(), epoch)
        assert [list(chain(*zip(*both, strict=True))) for both in zip(one[:2], two[:2], strict=True)] == alone[:2]


def test_two_processes_go_on_in_mid_epoch_where_they_were(saw):
    for whole, resumed in zip(saw["whole"], saw["resumed"], strict=True):
        assert resumed["seen"] == {"1": whole["seen"]["1"][1:], "2": whole["seen"]["2"]}


def test_two_processes_validate_and_test_each_image_once(saw):
    data = numbered()
    for split, key, passes in (("val", "validated", 3), ("test", "tested", 1)):
        images = sorted(data.splits[split].image[:, 0, 0].tolist())  # type: ignore[attr-defined]
        assert len(images) == SIZES[split]
        assert sorted(chain(*chain(*(run[key] for run in saw["whole"])))) == sorted(images * passes)
