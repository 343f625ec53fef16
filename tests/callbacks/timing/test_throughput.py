"""Each phase's account holds what was done in it, by a clock that only the test moves."""

import time
from types import SimpleNamespace

import pytest
import pytorch_lightning as pl
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader

import headstart.callbacks.timing.data_wait_profiler
import headstart.callbacks.timing.throughput
from headstart import Explicit, Unfreeze, parameter_groups
from headstart.callbacks.timing.data_wait_profiler import Clock
from headstart.callbacks.timing.phase_accounts import PhaseAccount, Totals, merged
from headstart.callbacks.timing.throughput import Throughput
from headstart.callbacks.timing.validation_times import Timeline
from headstart.types import Batch

IMAGE_S, STEP_S, HOOK_S, VALIDATION_S, START_S = 0.5, 3.0, 1.0, 7.0, 20.0
IMAGES, BATCH = 16, 4  # 4 steps an epoch, 2 s of waiting for each
SCHEDULE = Explicit(
    phases=[{"trainable": ["head"], "steps": 2}, {"trainable": ["second", "head"], "steps": 4}, {"trainable": "all"}]
)


@pytest.fixture
def clock(monkeypatch):
    """Seconds that pass when the test says so."""
    now = SimpleNamespace(seconds=100.0)
    for module in (headstart.callbacks.timing.data_wait_profiler, headstart.callbacks.timing.throughput):
        monkeypatch.setattr(module, "time", SimpleNamespace(perf_counter=lambda: now.seconds))
    return now


class Images(torch.utils.data.Dataset):
    def __init__(self, clock, seconds):
        generator = torch.Generator().manual_seed(0)
        self.clock, self.seconds = clock, seconds
        self.images, self.labels = torch.randn(IMAGES, 4, generator=generator), torch.arange(IMAGES) % 3

    def __len__(self):
        return IMAGES

    def __getitem__(self, index):
        self.clock.seconds += self.seconds
        return Batch(self.images[index], self.labels[index], 0, torch.tensor(index))


def loader(images, batch_size):
    return DataLoader(images, batch_size=batch_size, collate_fn=together)


def together(images):
    image, label, _, position, *_ = zip(*images, strict=True)
    return Batch(torch.stack(image), torch.stack(label), 0, torch.stack(position))


class Model(pl.LightningModule):
    def __init__(self, clock):
        super().__init__()
        torch.manual_seed(0)
        self.clock = clock
        self.first, self.second, self.head = nn.Linear(4, 5), nn.Linear(5, 5), nn.Linear(5, 3)

    @property
    def stages(self):
        return {"first": self.first, "second": self.second, "head": self.head}

    def training_step(self, batch, _):
        self.clock.seconds += STEP_S
        return cross_entropy(self.head(self.second(self.first(batch.image))), batch.label)

    def validation_step(self, batch, _):
        self.clock.seconds += VALIDATION_S

    def configure_optimizers(self):
        return torch.optim.SGD(parameter_groups(self, lr=0.1))


class Around(pl.Callback):
    """Something that takes its time before the first step and after each."""

    def __init__(self, clock):
        self.clock = clock

    def on_train_start(self, trainer, pl_module):
        if trainer.global_step == 0:
            self.clock.seconds += START_S

    def on_train_batch_end(self, *_):
        self.clock.seconds += HOOK_S


class Filling(headstart.callbacks.timing.throughput.FeatureCaching):  # type: ignore[name-defined]
    """A store that is filled while the first batch of a phase is waited for, and while the start is measured."""

    def __init__(self, clock, at):
        super().__init__(cache=None)
        self.clock, self.at = clock, at

    def setup(self, *_, **__):
        pass

    def on_train_batch_start(self, *_):
        pass

    def teardown(self, *_, **__):
        pass

    def fill(self, place):
        if seconds := self.at.pop(place, 0):
            self.clock.seconds += seconds
            self.filled.append({"phase": "", "images": 1, "seconds": seconds})


def fit(clock, *, epochs=2, schedule=SCHEDULE, more=(), resume=None, filling=None, **trainer):
    watch = Throughput(clock=Clock())
    store = Filling(clock, filling or {})

    class Filled(Images):
        def __getitem__(self, index):
            store.fill("fetch")
            return super().__getitem__(index)

    class Start(Around):
        def on_train_start(self, trainer, pl_module):
            super().on_train_start(trainer, pl_module)
            store.fill("start")

    module = Model(clock)
    kept = pl.Trainer(
        max_epochs=epochs, accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False,
        num_sanity_val_steps=0, enable_checkpointing=bool(more), profiler=watch.clock,
        callbacks=[Unfreeze(schedule), store, watch, Start(clock), Timeline(), *more], **trainer,
    )  # fmt: skip
    kept.fit(
        module, loader(Filled(clock, IMAGE_S), BATCH), loader(Images(clock, 0), IMAGES),
        ckpt_path=resume,
    )  # fmt: skip
    return watch, kept


def seconds(phase):
    return {key: value for key, value in phase.items() if key.endswith("_s") and key != "images_per_s"}


def test_two_phases_that_begin_within_an_epoch_have_their_own_steps_images_and_seconds(clock):
    watch, _ = fit(clock)
    one, two, three = watch.phases()
    assert [phase["trainable"] for phase in (one, two, three)] == [
        ["head"],
        ["second", "head"],
        ["first", "second", "head"],
    ]
    assert [(p["steps"], p["images"], p["epochs"]) for p in (one, two, three)] == [
        (2, 8, 0.5),
        (4, 16, 1.0),
        (2, 8, 0.5),
    ]
    step_s = BATCH * IMAGE_S + STEP_S + HOOK_S  # 2 + 3 + 1
    assert seconds(one) == {
        "train_s": 2 * step_s, "step_s": 2 * STEP_S, "wait_s": 4.0, "validation_s": START_S, "cache_s": 0.0,
    }  # fmt: skip
    assert seconds(two) == {  # the validation after the first epoch is in the second phase
        "train_s": 4 * step_s, "step_s": 4 * STEP_S, "wait_s": 8.0, "validation_s": VALIDATION_S, "cache_s": 0.0,
    }  # fmt: skip
    assert three["validation_s"] == VALIDATION_S
    assert one["wait_share"] == pytest.approx(2 / 6, abs=1e-4)
    assert one["images_per_s"] == pytest.approx(8 / 12, abs=0.01)


def test_all_seconds_from_the_beginning_of_fit_are_in_one_account(clock):
    began = clock.seconds
    watch, _ = fit(clock, filling={"fetch": 11.0, "start": 5.0})
    told = sum(p["train_s"] + p["validation_s"] + p["cache_s"] for p in watch.phases())
    assert told == pytest.approx(clock.seconds - began)


def test_what_the_store_computes_is_neither_waiting_nor_measuring(clock):
    plain = fit(clock)[0].phases()
    filled = fit(clock, filling={"fetch": 11.0, "start": 5.0})[0].phases()
    assert filled[0]["cache_s"] == 16.0
    for one, other in zip(plain, filled, strict=True):
        assert [one[key] for key in ("train_s", "wait_s", "validation_s")] == [
            other[key] for key in ("train_s", "wait_s", "validation_s")
        ]


def test_a_phase_of_whole_epochs_ends_with_its_validation(clock):
    schedule = Explicit(phases=[{"trainable": ["head"], "epochs": 1}, {"trainable": "all"}])
    one, two = fit(clock, schedule=schedule)[0].phases()
    assert (one["epochs"], two["epochs"]) == (1.0, 1.0)
    assert (one["validation_s"], two["validation_s"]) == (START_S + VALIDATION_S, VALIDATION_S)


def test_steps_of_two_batches_count_once_and_their_images_twice(clock):
    phases = fit(clock, accumulate_grad_batches=2)[0].phases()
    assert [(p["steps"], p["images"], p["epochs"]) for p in phases] == [(2, 16, 1.0), (2, 16, 1.0)]


@pytest.mark.parametrize("epoch", [1, 2])
def test_a_resumed_run_goes_on_adding(clock, tmp_path, epoch):
    keep = pl.callbacks.ModelCheckpoint(
        tmp_path, filename="{epoch}", save_top_k=-1, every_n_epochs=1, save_on_train_epoch_end=True
    )
    watch, _ = fit(clock, epochs=3, more=[keep])
    whole = watch.phases()
    clock.seconds += 1000  # nobody counts what lies between
    again, _ = fit(clock, epochs=3, resume=tmp_path / f"epoch={epoch}.ckpt")
    for one, other in zip(whole, again.phases(), strict=True):
        for key in ("phase", "trainable", "epochs", "steps", "images", "train_s", "step_s", "wait_s", "validation_s"):
            assert one[key] == other[key], key


def test_a_phase_without_a_step_is_not_told(clock):
    schedule = Explicit(phases=[{"trainable": ["head"], "steps": 0}, {"trainable": "all"}])
    (only,) = fit(clock, epochs=1, schedule=schedule)[0].phases()
    assert only["steps"] == 4


def test_ranks_give_their_longest_seconds_their_most_memory_and_the_images_of_all():
    one = PhaseAccount("all", steps=4, images=64, train_s=2.0, wait_s=0.5, peak_memory_mib=100.0)
    other = PhaseAccount("all", steps=4, images=64, train_s=1.5, wait_s=0.75, peak_memory_mib=None)
    found = merged([one, other])
    assert (found.images, found.train_s, found.wait_s, found.peak_memory_mib) == (64, 2.0, 0.75, 100.0)


def test_seconds_of_measuring_and_filling_are_no_training():
    account = PhaseAccount("head")
    account.add(Totals(1.0), Totals(11.0, waiting=1, computing=2, validating=3, filling=4, examples=30, steps=2))
    assert (account.train_s, account.record(4)["images_per_s"]) == (3.0, 10.0)
    assert account.record(4)["epochs"] == 0.5


def test_the_clock_costs_a_step_less_than_lightnings_profiler_of_nothing():
    def cost(profiler, rounds=2000):
        began = time.perf_counter()
        for _ in range(rounds):
            profiler.start("[_TrainingEpochLoop].train_dataloader_next")
            profiler.stop("[_TrainingEpochLoop].train_dataloader_next")
            with profiler.profile("run_training_batch"):
                pass
            for _ in range(20):
                with profiler.profile("[Callback]Timeline.on_train_batch_end"):
                    pass
        return time.perf_counter() - began

    nothing = pl.profilers.PassThroughProfiler()
    assert min(cost(Clock()) for _ in range(5)) < min(cost(nothing) for _ in range(5))


@pytest.mark.parametrize(
    ("given", "hint"),
    [
        ({}, "trainer.check_val_every_n_epoch=2"),
        ({"max_epochs": 4}, "trainer.check_val_every_n_epoch=2"),
        ({"max_epochs": 3}, ""),  # two validations would not be left
        ({"check_val_every_n_epoch": 2}, "trainer.check_val_every_n_epoch=4"),
        ({"check_val_every_n_epoch": None, "val_check_interval": 25}, "trainer.val_check_interval=50"),
        ({"val_check_interval": 25}, "a longer trainer.val_check_interval"),
        ({"val_check_interval": 0.5}, "a longer trainer.val_check_interval"),
        ({"check_val_every_n_epoch": None, "val_check_interval": "00:00:10:00"}, "a longer trainer.val_check_interval"),
    ],
)
def test_the_hint_to_validate_less_often_is_in_the_terms_in_which_the_trainer_counts(given, hint):
    trainer = pl.Trainer(
        accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, **{"max_epochs": 30, **given},
    )  # fmt: skip
    trainer.strategy._lightning_module = pl.LightningModule()
    trainer.datamodule = None  # type: ignore[attr-defined]
    for trainer.fit_loop.max_batches in (100, float("inf")):  # a stream does not say how long an epoch is
        assert Throughput(clock=Clock()).circumstances(trainer, data="target").validation_hint == hint
