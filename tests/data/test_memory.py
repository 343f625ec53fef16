"""Do a data module's loaders give each image once, in an order that only seed and epoch decide?"""

from itertools import chain

import numpy as np
import pytest
import torch
from pytorch_lightning import LightningModule, Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader

from headstart.data.memory import InMemory, Labelled, by_turns
from headstart.types import Batch, Pixels, UserError

SIZES = {"train": 21, "val": 10, "test": 6}


class Numbered(InMemory):
    """Plain images of one pixel value each, its number; the classes in blocks, as files often lie."""

    def load(self) -> dict[str, Labelled]:
        self.loads = getattr(self, "loads", 0) + 1
        return {
            name: Labelled(
                np.broadcast_to(np.arange(count, dtype=np.uint8)[:, None, None], (count, 2, 2)).copy(),
                np.sort(np.arange(count) % 3),
            )
            for name, count in SIZES.items()
        }


def numbered(*, seed: int = 0, batch_size: int = 4, num_workers: int = 0) -> Numbered:
    pixels = Pixels(size=2, channels=1, mean=(0.0,), std=(1 / 255,))  # the image's number comes back
    return Numbered(
        class_names=("a", "b", "c"), batch_size=batch_size, num_workers=num_workers, pixels=pixels, seed=seed
    )


def numbers(batch: Batch) -> list[int]:
    return batch.image[:, 0, 0, 0].round().int().tolist()


def passed(loader: DataLoader[Batch], epoch: int = 0) -> list[list[int]]:
    sampler = loader.batch_sampler.sampler
    if hasattr(sampler, "set_epoch"):
        sampler.set_epoch(epoch)
    return [numbers(batch) for batch in loader]


class Witness(LightningModule):
    """Notes which images each training step sees."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))
        self.seen: dict[int, list[list[int]]] = {}
        self.validated: list[list[int]] = []

    def training_step(self, batch: Batch, _: int) -> Tensor:
        self.seen.setdefault(self.current_epoch, []).append(numbers(batch))
        return self.weight * batch.image.mean()

    def validation_step(self, batch: Batch, _: int) -> None:
        self.validated.append(numbers(batch))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def trainer(tmp_path, **settings) -> Trainer:
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    quiet |= {"accelerator": "cpu", "num_sanity_val_steps": 0, "enable_checkpointing": False}
    return Trainer(default_root_dir=tmp_path, **quiet | settings)


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


def test_a_batch_is_float_images_and_integer_labels_that_belong_together():
    data = numbered()
    of = dict(zip(data.splits["train"].image[:, 0, 0].tolist(), data.splits["train"].label.tolist(), strict=True))
    for batch in data.train_dataloader():
        assert isinstance(batch, Batch)
        assert batch.image.shape[1:] == (1, 2, 2)
        assert (batch.image.dtype, batch.label.dtype) == (torch.float32, torch.int64)
        assert batch.label.tolist() == [of[number] for number in numbers(batch)]


def test_one_image_of_the_data_set_is_the_row_of_its_batch():
    dataset = numbered().plain_dataloader("val").dataset
    assert dataset[3].image.shape == (1, 2, 2)
    assert torch.equal(dataset[3].image, dataset.__getitems__([5, 3]).image[1])
    assert torch.equal(dataset[3].label, dataset.__getitems__([5, 3]).label[1])


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
            stored = data.splits[name].image[:, 0, 0].tolist()
            assert list(chain(*passed(data.plain_dataloader(name)))) == stored
    assert passed(data.val_dataloader()) == passed(data.plain_dataloader("val"))
    assert passed(data.test_dataloader()) == passed(data.plain_dataloader("test"))


def test_an_unknown_split_names_the_valid_ones_and_the_closest():
    with pytest.raises(UserError, match=r"train, val, test, got 'vall'; did you mean val\?"):
        numbered().plain_dataloader("vall")


def test_classes_take_turns_and_keep_their_own_order():
    image = np.arange(6, dtype=np.uint8)[:, None, None]
    split = by_turns(Labelled(image, np.array([2, 2, 2, 0, 0, 1])))
    assert split.label.tolist() == [0, 1, 2, 0, 2, 2]
    assert split.image.flatten().tolist() == [3, 5, 0, 4, 1, 2]


def test_lightning_trains_in_the_order_of_seed_and_epoch(tmp_path):
    witness = Witness()
    trainer(tmp_path, max_epochs=3).fit(witness, datamodule=numbered(seed=7))
    loader = numbered(seed=7).train_dataloader()
    assert witness.seen == {epoch: passed(loader, epoch) for epoch in range(3)}


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_resumed_run_sees_the_batches_of_an_uninterrupted_one(tmp_path, num_workers):
    first = trainer(tmp_path, max_epochs=2)
    first.fit(Witness(), datamodule=numbered(num_workers=num_workers))
    first.save_checkpoint(tmp_path / "last.ckpt")
    resumed = Witness()
    data = numbered(num_workers=num_workers)
    trainer(tmp_path, max_epochs=4).fit(resumed, datamodule=data, ckpt_path=tmp_path / "last.ckpt")
    loader = numbered().train_dataloader()
    assert resumed.seen == {epoch: passed(loader, epoch) for epoch in (2, 3)}


def test_limited_batches_are_the_first_of_each_epoch_and_hold_all_classes(tmp_path):
    witness = Witness()
    data = numbered(seed=7)
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
    of = dict(zip(data.splits["train"].image[:, 0, 0].tolist(), data.splits["train"].label.tolist(), strict=True))
    assert {of[number] for number in witness.seen[0][0]} == {0, 1, 2}
