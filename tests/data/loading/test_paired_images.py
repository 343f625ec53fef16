"""Paired batches: the shorter data set is cycled, and a resumed run goes on where it was."""

from itertools import chain

import pytest

from headstart.types import UserError
from numbered import SIZES, SaveAfter, Witness, numbered, numbers, trainer

IMAGES = SIZES["train"]  # 21: six batches of 4, the last one of a single image joins: 5; of 8: 3


class PairWitness(Witness):
    """Notes the paired images of each training step, too."""

    def __init__(self):
        super().__init__()
        self.paired_batches = {}

    def training_step(self, batch, index):
        self.paired_batches.setdefault(self.current_epoch, []).append(numbers(batch.paired))
        return super().training_step(batch, index)


def pair(*, first_batch=8, paired_batch_size=4, num_workers=0):
    data = numbered(batch_size=first_batch, num_workers=num_workers)
    data.paired = numbered(seed=1, batch_size=paired_batch_size, num_workers=num_workers)
    return data


def epochs(count, **settings):
    """(first, paired) numbers of each batch, by epoch."""
    loader = pair(**settings).train_dataloader()
    seen = []
    for epoch in range(count):
        loader.set_epoch(epoch)
        seen.append([(numbers(batch), numbers(batch.paired)) for batch in loader])
    return seen


@pytest.mark.parametrize(("first_batch", "paired_batch_size"), [(8, 4), (4, 8), (4, 4)])
def test_the_longer_is_the_epoch_and_the_shorter_is_cycled_seeing_each_image_equally_often(
    first_batch, paired_batch_size
):
    seen = epochs(6, first_batch=first_batch, paired_batch_size=paired_batch_size)
    assert [len(epoch) for epoch in seen] == [5] * 6
    for side, size in ((0, first_batch), (1, paired_batch_size)):
        batches = [pair[side] for epoch in seen for pair in epoch]  # 30: both 5 and 3 divide it
        passes = 3 if size == 8 else 5
        for begin in range(0, 30, passes):
            assert sorted(chain(*batches[begin : begin + passes])) == list(range(IMAGES))
        assert batches[:passes] != batches[passes : 2 * passes]  # in another order


def test_the_paired_batch_has_its_own_order():
    assert [first for first, _ in epochs(1, first_batch=4)[0]] != [paired for _, paired in epochs(1)[0]]


@pytest.mark.parametrize("num_workers", [0, pytest.param(2, marks=pytest.mark.slow)])
@pytest.mark.parametrize(("epoch", "batches"), [(0, 2), (1, 3), (2, 5)])
def test_a_run_resumed_after_any_batch_sees_the_pairs_of_the_uninterrupted_one(tmp_path, num_workers, epoch, batches):
    whole = PairWitness()
    saving = SaveAfter(tmp_path, {(epoch, batches)})
    trainer(tmp_path, max_epochs=3, callbacks=[saving]).fit(whole, datamodule=pair(num_workers=num_workers))
    resumed = PairWitness()
    trainer(tmp_path, max_epochs=3).fit(resumed, datamodule=pair(), ckpt_path=tmp_path / f"{epoch}-{batches}.ckpt")
    for side in ("seen", "paired_batches"):
        of_whole, rest = getattr(whole, side), getattr(resumed, side)
        want = {number: seen[batches if number == epoch else 0 :] for number, seen in of_whole.items()}
        assert rest == {number: seen for number, seen in want.items() if number >= epoch and seen}


def test_a_checkpoint_of_other_batches_is_an_error(tmp_path):
    saving = SaveAfter(tmp_path, {(0, 2)})
    trainer(tmp_path, max_epochs=1, callbacks=[saving]).fit(PairWitness(), datamodule=pair())
    with pytest.raises(UserError, match=r"after 2 batches of 4 of 21 images.*in batches of 2 of 21"):
        trainer(tmp_path, max_epochs=1).fit(
            PairWitness(), datamodule=pair(paired_batch_size=2), ckpt_path=tmp_path / "0-2.ckpt"
        )


def test_a_checkpoint_with_the_field_name_of_an_earlier_version_goes_on_where_it_was():
    loader, resumed = pair().train_dataloader(), pair().train_dataloader()
    batches = iter(loader)
    _ = next(batches), next(batches)
    state = loader.state_dict()
    resumed.load_state_dict({"companion" if name == "paired" else name: value for name, value in state.items()})
    rest = [(numbers(batch), numbers(batch.paired)) for batch in resumed]
    assert rest == [(numbers(batch), numbers(batch.paired)) for batch in batches]
    assert len(rest) == 3
