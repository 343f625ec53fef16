"""A resumed run sees the very batches of the uninterrupted one."""

from itertools import product

import pytest
import torch
from pytorch_lightning.callbacks import LambdaCallback

from headstart.data.datasets.image_batches import TrainingBatches
from headstart.types import UserError
from numbered import SaveAfter, Witness, numbered, numbers, passed, trainer

BATCHES = 5  # an epoch
LAST = 3  # epochs


def after(epoch: int, batches: int) -> dict[int, list[list[int]]]:
    """What is left of an uninterrupted run of three epochs."""
    loader = numbered().train_dataloader()
    whole = {number: passed(loader, number) for number in range(LAST)}
    rest = {number: seen[batches if number == epoch else 0 :] for number, seen in whole.items() if number >= epoch}
    return {number: seen for number, seen in rest.items() if seen}


def resumed(tmp_path, checkpoint, *, num_workers=0, batch_size=4, **settings) -> Witness:
    witness = Witness()
    data = numbered(num_workers=num_workers, batch_size=batch_size)
    trainer(tmp_path, **{"max_epochs": LAST} | settings).fit(witness, datamodule=data, ckpt_path=checkpoint)
    return witness


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    """The folder of a run that saved after every batch, its two workers ahead of the training."""
    folder = tmp_path_factory.mktemp("saved")
    places = set(product(range(LAST), range(1, BATCHES + 1)))
    whole = Witness()
    data = numbered(num_workers=2)
    trainer(folder, max_epochs=LAST, callbacks=[SaveAfter(folder, places)]).fit(whole, datamodule=data)
    assert whole.seen == after(0, 0)
    return folder


@pytest.mark.parametrize(("epoch", "batches"), list(product(range(LAST), range(1, BATCHES + 1))))
def test_a_run_goes_on_after_any_batch_as_if_it_had_not_stopped(tmp_path, checkpoints, epoch, batches):
    assert resumed(tmp_path, checkpoints / f"{epoch}-{batches}.ckpt").seen == after(epoch, batches)


@pytest.mark.parametrize(("epoch", "batches"), [(0, 2), (1, 3), (2, 4), (1, 5)])
def test_so_it_does_with_two_workers_that_stay(tmp_path, checkpoints, epoch, batches):
    run = resumed(tmp_path, checkpoints / f"{epoch}-{batches}.ckpt", num_workers=2)
    assert run.seen == after(epoch, batches)


def test_a_run_resumed_twice_is_the_uninterrupted_one(tmp_path, checkpoints):
    saving = {"callbacks": [SaveAfter(tmp_path, {(0, 4), (1, 2)})]}
    for number in (0, 2):
        resumed(tmp_path, checkpoints / "0-2.ckpt", num_workers=number, **saving)
        for epoch, batches in ((0, 4), (1, 2)):
            assert resumed(tmp_path, tmp_path / f"{epoch}-{batches}.ckpt").seen == after(epoch, batches)


def test_a_checkpoint_written_before_the_first_batch_of_a_resumed_run_keeps_its_place(checkpoints):
    loader = numbered().train_dataloader()
    place = {"epoch": 1, "batches": 3, "images": 21, "batch_size": 4, "world_size": 1}
    loader.load_state_dict(place)
    assert loader.state_dict() == place


@pytest.mark.parametrize("when", ["on_validation_end", "on_train_epoch_end"])
@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_checkpoint_of_an_epochs_end_goes_on_with_the_next_epoch(tmp_path, when, num_workers):
    def save(engine, *_):
        if engine.current_epoch == 1:
            engine.save_checkpoint(tmp_path / "end.ckpt")

    trainer(tmp_path, max_epochs=2, callbacks=[LambdaCallback(**{when: save})]).fit(Witness(), datamodule=numbered())
    assert resumed(tmp_path, tmp_path / "end.ckpt", num_workers=num_workers).seen == after(2, 0)


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_finished_run_goes_on_for_longer_with_the_next_epoch(tmp_path, num_workers):
    first = trainer(tmp_path, max_epochs=2)
    first.fit(Witness(), datamodule=numbered(num_workers=num_workers))
    first.save_checkpoint(tmp_path / "last.ckpt")
    assert resumed(tmp_path, tmp_path / "last.ckpt", num_workers=num_workers).seen == after(2, 0)


def test_a_limited_epoch_goes_on_within_its_limit(tmp_path):
    def limited(**settings):
        return trainer(tmp_path, max_epochs=2, limit_train_batches=3, **settings)

    limited(callbacks=[SaveAfter(tmp_path, {(0, 2)})]).fit(Witness(), datamodule=numbered())
    witness = Witness()
    limited().fit(witness, datamodule=numbered(), ckpt_path=tmp_path / "0-2.ckpt")
    whole = after(0, 0)
    assert witness.seen == {0: whole[0][2:3], 1: whole[1][:3]}


def test_a_run_counted_in_steps_goes_on_after_any_batch(tmp_path, checkpoints):
    for epoch, batches in ((0, 2), (1, 4)):
        run = resumed(tmp_path, checkpoints / f"{epoch}-{batches}.ckpt", max_epochs=-1, max_steps=LAST * BATCHES)
        assert run.seen == after(epoch, batches)


def test_skipped_images_are_not_loaded(tmp_path, checkpoints, monkeypatch):
    loaded = []
    make = TrainingBatches.__getitems__
    monkeypatch.setattr(TrainingBatches, "__getitems__", lambda self, at: (loaded.append(len(at)), make(self, at))[1])
    resumed(tmp_path, checkpoints / "2-3.ckpt")
    assert loaded == [4, 5]


def test_workers_prefetch_is_no_part_of_the_position():
    loader = numbered(num_workers=2).train_dataloader()
    batches = iter(loader)
    assert loader.state_dict()["batches"] == 0
    next(batches), next(batches)
    assert loader.state_dict()["batches"] == 2
    del batches


def test_a_position_holds_once_and_in_its_own_epoch_only():
    loader, whole = numbered().train_dataloader(), numbered().train_dataloader()
    place = {"epoch": 1, "batches": 3, "images": 21, "batch_size": 4, "world_size": 1}
    loader.load_state_dict(place)
    assert passed(loader, 1) == passed(whole, 1)[3:]
    assert len(loader) == BATCHES
    assert passed(loader, 1) == passed(whole, 1)
    loader.load_state_dict(place)
    assert passed(loader, 2) == passed(whole, 2)
    assert passed(loader, 1) == passed(whole, 1)


@pytest.mark.parametrize("num_workers", [0, 2])
def test_an_iterator_made_before_the_epoch_is_known_follows_it(num_workers):
    loader = numbered(num_workers=num_workers).train_dataloader()
    batches = iter(loader)
    loader.batch_sampler.sampler.set_epoch(2)
    assert [numbers(batch) for batch in batches] == after(2, 0)[2]


def test_other_batches_than_the_checkpoints_are_an_error_with_both(tmp_path, checkpoints):
    with pytest.raises(UserError, match=r"epoch 1, after 2 batches of 4 of 21 images on 1.*in batches of 3 of 21"):
        resumed(tmp_path, checkpoints / "1-2.ckpt", batch_size=3)


def test_a_position_is_plain_numbers_that_torch_loads_safely(checkpoints):
    loops = torch.load(checkpoints / "1-2.ckpt", weights_only=True)["loops"]
    (place,) = loops["fit_loop"]["state_dict"]["combined_loader"]
    assert place == {"epoch": 1, "batches": 2, "images": 21, "batch_size": 4, "world_size": 1}
