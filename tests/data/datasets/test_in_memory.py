"""A data module's loaders give each image once, in an order of seed and epoch alone."""

from functools import partial
from itertools import chain
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from headstart.data.datasets.in_memory import LabelledImages
from headstart.data.splits.interleaved_classes import by_turns
from headstart.data.transforms.corruptions.corruption_kinds import corrupted
from headstart.types import Batch, UserError
from numbered import SIZES, Witness, numbered, numbers, passed, trainer


def test_classes_are_known_before_any_image_is_read():
    data = numbered()
    assert data.class_names == ("a", "b", "c")
    assert data.num_classes == 3
    assert not hasattr(data, "loads")


def test_setup_reads_once_however_often_it_is_called():
    data = numbered()
    for stage in ("fit", "validate", "fit", "test"):
        data.setup(stage)
    assert data.loads == 1
    assert data.sizes == SIZES


def test_a_batch_is_images_labels_and_positions_that_belong_together():
    data = numbered()
    of = dict(zip(data.splits["train"].image[:, 0, 0].tolist(), data.splits["train"].label.tolist(), strict=True))  # type: ignore[attr-defined]
    for batch in data.train_dataloader():
        assert isinstance(batch, Batch)
        assert batch.image.shape[1:] == (1, 2, 2)
        assert (batch.image.dtype, batch.label.dtype, batch.position.dtype) == (torch.uint8, torch.int64, torch.int64)
        assert data.splits["train"].image[batch.position, 0, 0].tolist() == numbers(batch)  # type: ignore[attr-defined]
        assert batch.label.tolist() == [of[number] for number in numbers(batch)]


def test_one_image_of_the_data_set_is_the_row_of_its_batch():
    dataset = numbered().plain_dataloader("val").dataset
    assert dataset[3].image.shape == (1, 2, 2)
    assert torch.equal(dataset[3].image, dataset.__getitems__([5, 3]).image[1])  # type: ignore[attr-defined]
    assert torch.equal(dataset[3].label, dataset.__getitems__([5, 3]).label[1])  # type: ignore[attr-defined]


def test_every_training_image_comes_once_an_epoch_the_lone_last_one_too():
    batches = passed(numbered(batch_size=4).train_dataloader())
    assert sorted(chain(*batches)) == list(range(21))
    assert [len(batch) for batch in batches] == [4, 4, 4, 4, 5]


def test_the_order_is_a_function_of_seed_and_epoch():
    def at(seed: int, epoch: int) -> list[list[int]]:
        torch.manual_seed(torch.seed())
        return passed(numbered(seed=seed).train_dataloader(), epoch)

    assert at(0, 0) == at(0, 0)
    assert at(0, 5) == at(0, 5)
    assert at(0, 0) != at(0, 1)
    assert at(0, 0) != at(1, 0)


def test_a_look_at_the_data_leaves_the_global_random_state_alone():
    torch.manual_seed(0)
    state = torch.get_rng_state()
    data = numbered()
    for loader in (data.train_dataloader(), data.val_dataloader(), data.plain_dataloader("train")):
        list(loader)
    assert torch.equal(torch.get_rng_state(), state)


def test_two_workers_give_the_batches_of_none():
    alone, helped = numbered().train_dataloader(), numbered(num_workers=2).train_dataloader()
    for epoch in (0, 1, 4):
        assert passed(helped, epoch) == passed(alone, epoch)
    assert passed(numbered(num_workers=2).val_dataloader()) == passed(numbered().val_dataloader())


def test_plain_loaders_go_through_a_split_in_its_own_order():
    data = numbered()
    for name in SIZES:
        for _ in range(2):
            stored = data.splits[name].image[:, 0, 0].tolist()  # type: ignore[attr-defined]
            assert list(chain(*passed(data.plain_dataloader(name)))) == stored
    assert passed(data.val_dataloader()) == passed(data.plain_dataloader("val"))
    assert passed(data.test_dataloader()) == passed(data.plain_dataloader("test"))


def test_an_unknown_split_names_the_valid_ones_and_the_closest():
    with pytest.raises(UserError, match=r"train, val, test, got 'vall'; did you mean val\?"):
        numbered().plain_dataloader("vall")


def test_classes_take_turns_and_keep_their_own_order():
    image = np.arange(6, dtype=np.uint8)[:, None, None]
    split = LabelledImages(image, np.array([2, 2, 2, 0, 0, 1]))
    split = split.taken(by_turns(split.label))
    assert split.label.tolist() == [0, 1, 2, 0, 2, 2]
    assert split.image.flatten().tolist() == [3, 5, 0, 4, 1, 2]


def test_lightning_trains_in_the_order_of_seed_and_epoch(tmp_path):
    witness = Witness()
    trainer(tmp_path, max_epochs=3).fit(witness, datamodule=numbered(seed=7))
    loader = numbered(seed=7).train_dataloader()
    assert witness.seen == {epoch: passed(loader, epoch) for epoch in range(3)}


@pytest.mark.parametrize("num_workers", [0, 2])
def test_limited_batches_are_the_first_of_each_epoch_and_hold_all_classes(tmp_path, num_workers):
    witness = Witness()
    data = numbered(seed=7, num_workers=num_workers)
    trainer(tmp_path, max_epochs=2, limit_train_batches=2, limit_val_batches=1).fit(witness, datamodule=data)
    loader = numbered(seed=7).train_dataloader()
    assert witness.seen == {epoch: passed(loader, epoch)[:2] for epoch in range(2)}
    assert set(data.splits["val"].label[:3].tolist()) == {0, 1, 2}
    assert witness.validated[0] == passed(data.val_dataloader())[0]


@pytest.mark.parametrize("num_workers", [0, 2])
def test_overfitting_sees_the_same_few_images_of_all_classes_each_epoch(tmp_path, num_workers):
    witness = Witness()
    data = numbered(num_workers=num_workers)
    trainer(tmp_path, max_epochs=3, overfit_batches=1).fit(witness, datamodule=data)
    assert witness.seen[0] == witness.seen[1] == witness.seen[2]
    assert len(witness.seen[0]) == 1
    of = dict(zip(data.splits["train"].image[:, 0, 0].tolist(), data.splits["train"].label.tolist(), strict=True))  # type: ignore[attr-defined]
    assert {of[number] for number in witness.seen[0][0]} == {0, 1, 2}


def of_device(data, rank: int, world_size: int, *, overfit_batches=0, lightning_shares_out=False):
    """The data as the process of this rank has it."""
    connector = SimpleNamespace(use_distributed_sampler=lightning_shares_out)
    data.trainer = SimpleNamespace(
        global_rank=rank, world_size=world_size, overfit_batches=overfit_batches, _accelerator_connector=connector
    )
    return data


@pytest.mark.parametrize("split", ["val", "test"])
@pytest.mark.parametrize("world_size", [1, 2, 3, 4])
def test_devices_share_out_a_split_each_image_once(split, world_size):
    whole = list(chain(*passed(numbered().plain_dataloader(split))))
    seen = []
    for rank in range(world_size):
        data = of_device(numbered(), rank, world_size)
        loader = data.val_dataloader() if split == "val" else data.test_dataloader()
        mine = list(chain(*passed(loader)))
        assert mine == whole[rank::world_size]
        seen += mine
    assert sorted(seen) == sorted(whole)


def test_devices_share_out_the_training_images_of_each_epoch():
    for epoch in range(3):
        devices = [passed(of_device(numbered(), rank, 2).train_dataloader(), epoch) for rank in range(2)]
        alone = passed(numbered(batch_size=8).train_dataloader(), epoch)
        assert [list(chain(*zip(*two, strict=True))) for two in zip(*devices, strict=True)][:2] == alone[:2]
        assert [[len(batch) for batch in device] for device in devices] == [[4, 4, 2]] * 2  # the 21st is lost


def test_who_only_looks_at_a_split_sees_all_of_it_on_every_device():
    for name, size in SIZES.items():
        for rank in range(3):
            assert len(list(chain(*passed(of_device(numbered(), rank, 3).plain_dataloader(name))))) == size


def test_devices_overfit_the_same_first_images_together():
    first = numbered().splits["train"].image[:8, 0, 0].tolist()  # type: ignore[attr-defined]
    for epoch in range(2):
        devices = [
            passed(of_device(numbered(), rank, 2, overfit_batches=1).train_dataloader(), epoch)[0] for rank in range(2)
        ]
        assert list(chain(*zip(*devices, strict=True))) == first


def test_fewer_images_than_devices_are_an_error_with_both_numbers():
    with pytest.raises(UserError, match=r"got 21 images for 22 devices; try trainer\.devices=21"):
        of_device(numbered(), 0, 22).train_dataloader()


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_lightning_may_not_share_out_what_is_shared_out(split):
    data = of_device(numbered(), 0, 2, lightning_shares_out=True)
    with pytest.raises(UserError, match=r"trainer\.use_distributed_sampler=false"):
        getattr(data, f"{split}_dataloader")()
    of_device(numbered(), 0, 1, lightning_shares_out=True).train_dataloader()  # with one device, it does not


@pytest.mark.parametrize("kind", ["gaussian_noise", "fog"])
def test_a_corruption_is_of_the_images_of_all_splits_and_leaves_the_labels(digits, printed, kind):
    for build in (digits, partial(printed, per_class=2, held_out=1)):
        plain, other = build(), build(corruption=kind, severity=2)
        for split in ("train", "val", "test"):
            images, changed = plain.splits[split], other.splits[split]
            assert np.array_equal(images.label, changed.label)
            assert np.array_equal(changed.image[0], corrupted(images.image[0], kind, 2))
            assert not set(plain.contents(split)) & set(other.contents(split))  # the feature cache tells them apart
