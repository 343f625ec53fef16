"""The callback does in a plain Lightning run what its schedule says, after a resume too."""

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.strategies import SingleDeviceStrategy
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import rank_scenarios
from headstart import EMA, Explicit, Gradual, Plateau, Unfreeze, parameter_groups
from headstart.types import UserError

SCHEDULES = rank_scenarios.SCHEDULES


def fit(module, schedule, *, epochs=5, more=(), resume=None, stages=rank_scenarios.STAGES, backbone_warmup_steps=0):
    generator = torch.Generator().manual_seed(1)
    images, labels = torch.randn(64, 1, 8, 8, generator=generator), torch.randint(0, 3, (64,), generator=generator)
    data = TensorDataset(images, labels)
    unfreeze = Unfreeze(schedule, stages=stages, backbone_warmup_steps=backbone_warmup_steps)
    trainer = pl.Trainer(
        max_epochs=epochs, accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False,
        num_sanity_val_steps=0, callbacks=[unfreeze, *more], use_distributed_sampler=False,
        enable_checkpointing=any(isinstance(one, ModelCheckpoint) for one in more),
    )  # fmt: skip
    loader = DataLoader(data, batch_sampler=rank_scenarios.Shares(0, 1))
    trainer.fit(module, loader, DataLoader(data, batch_size=32), ckpt_path=resume)
    return module


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_resumed_run_is_the_uninterrupted_one_under_lightnings_own_checkpoints(name, tmp_path):
    schedule = SCHEDULES[name]
    keep = ModelCheckpoint(tmp_path, filename="{epoch}", save_top_k=-1, every_n_epochs=1, save_on_train_epoch_end=True)
    whole = fit(rank_scenarios.of_seed(batch_norm=True, schedule=schedule), schedule, more=[keep])
    for epoch in (0, 1, 2, 3):
        started_anew = rank_scenarios.of_seed(seed=5, batch_norm=True, schedule=schedule)
        again = fit(started_anew, schedule, resume=tmp_path / f"epoch={epoch}.ckpt")
        for key, tensor in whole.state_dict().items():
            assert torch.equal(tensor, again.state_dict()[key]), (epoch, key)


def test_a_checkpoint_of_another_schedule_is_refused(tmp_path):
    keep = ModelCheckpoint(tmp_path, filename="kept")
    fit(rank_scenarios.of_seed(batch_norm=True), SCHEDULES["gradual"], epochs=2, more=[keep])
    with pytest.raises(
        UserError, match="the checkpoint's phases are head, second and above, all, those of the schedule"
    ):
        fit(rank_scenarios.of_seed(batch_norm=True), SCHEDULES["chain_thaw"], resume=tmp_path / "kept.ckpt")


class Filtered(rank_scenarios.Small):
    def configure_optimizers(self):
        return torch.optim.SGD([p for p in self.parameters() if p.requires_grad], lr=0.1)


def test_an_optimizer_without_what_opens_later_is_an_error_that_names_the_helper():
    with pytest.raises(UserError, match=r"8 parameters are in none.*headstart\.parameter_groups"):
        fit(Filtered(batch_norm=True), SCHEDULES["gradual"])


def test_rates_for_less_than_the_optimizers_groups_are_an_error_before_the_first_step():
    schedule = Explicit(
        phases=[{"trainable": ["head"], "epochs": 1, "lr": {"head.1.weight": 0.1}}, {"trainable": "all"}]
    )

    class Coarse(rank_scenarios.Small):
        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.1)

    with pytest.raises(UserError, match=r"sets different rates in the optimizer group.*schedule="):
        fit(Coarse(batch_norm=True), schedule)


def test_a_figure_that_nobody_measures_is_an_error_that_lists_those_that_there_are():
    from headstart import GradualByPlateau

    schedule = GradualByPlateau(until=Plateau(monitor="val/f1", mode="max"))
    with pytest.raises(UserError, match="waits for val/f1, which is not measured; measured are val/loss"):
        fit(rank_scenarios.of_seed(batch_norm=True), schedule)


def test_a_strategy_of_which_nothing_is_known_is_an_error_that_says_which_are():
    class Odd(pl.strategies.ParallelStrategy):
        root_device = torch.device("cpu")
        broadcast = barrier = all_gather = reduce = is_global_zero = None

    trainer = pl.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)
    assert isinstance(trainer.strategy, SingleDeviceStrategy)
    trainer.strategy.__class__ = Odd
    with pytest.raises(UserError, match=r"on one device, with DDP and with fully_shard.*got Odd; try trainer=ddp"):
        Unfreeze(SCHEDULES["gradual"], stages=rank_scenarios.STAGES).setup(
            trainer, rank_scenarios.of_seed(batch_norm=True), "fit"
        )


def test_a_model_is_left_as_it_was_found_so_that_it_can_be_trained_again():
    module = fit(rank_scenarios.of_seed(batch_norm=False), Gradual(first_epoch=None, every_epochs=1), epochs=1)
    assert all(p.requires_grad for p in module.parameters())
    before = {name: p.clone() for name, p in module.named_parameters()}
    fit(module, Gradual(first_epoch=0, every_epochs=0), epochs=1)
    assert all(not torch.equal(p, before[name]) for name, p in module.named_parameters())


def test_two_optimizers_rates_are_those_of_their_own_groups():
    class Two(rank_scenarios.Small):
        def __init__(self):
            super().__init__(batch_norm=True)
            self.automatic_optimization = False

        def configure_optimizers(self):
            groups = parameter_groups(self, lr=0.1, stage_decay=0.5, stages=rank_scenarios.STAGES)
            heads = [group for group in groups if group["name"].startswith("head")]
            return torch.optim.SGD(heads), torch.optim.SGD([group for group in groups if group not in heads])

        def training_step(self, batch, _):
            for optimizer in self.optimizers():
                optimizer.zero_grad()
            self.manual_backward(nn.functional.cross_entropy(self(batch[0]), batch[1]))
            for optimizer in self.optimizers():
                optimizer.step()

    seen = []

    class Seen(pl.Callback):
        def on_train_epoch_end(self, trainer, module):
            rates = trainer.callbacks[0].rates(trainer.global_step)
            seen.append([rates["first"], rates["second"], rates["head"]])

    fit(Two(), Gradual(first_epoch=1, every_epochs=1), epochs=3, more=[Seen()])
    assert seen == [[0, 0, 0.1], [0, 0.05, 0.1], [0.025, 0.05, 0.1]]


class Stepping(rank_scenarios.Small):
    """Notes what its optimizer goes through in each step, and the rates that are said inside of it and before."""

    def __init__(self, *, fails=False):
        super().__init__(batch_norm=True, optimizer="adamw")
        self.fails, self.seen, self.rates = fails, [], []

    def on_before_optimizer_step(self, optimizer):
        self.seen.append([group["name"] for group in optimizer.param_groups])
        self.rates[-1].append(self.trainer.callbacks[0].rates(self.trainer.global_step))  # type: ignore[attr-defined]
        if self.fails:
            raise KeyError("in the step")

    def on_train_batch_start(self, batch, _):
        self.rates.append([self.trainer.callbacks[0].rates(self.trainer.global_step)])  # type: ignore[attr-defined]


def test_a_step_goes_through_the_groups_that_are_open_and_the_others_stay_in_the_optimizer():
    module = Stepping()
    fit(module, Gradual(first_epoch=1, every_epochs=1), epochs=3)
    names = [[name.removesuffix("/no_decay") for name in names] for names in module.seen[::4]]
    assert [sorted(set(one)) for one in names] == [["head"], ["head", "second"], ["first", "head", "second"]]
    assert all(before == inside for before, inside in module.rates)
    state = module.trainer.optimizers[0].state_dict()
    assert {group["name"] for group in state["param_groups"]} == set(module.seen[-1])


def test_the_stages_rates_rise_over_the_first_steps_and_the_heads_is_whole_at_once():
    module = Stepping()
    fit(module, Gradual(first_epoch=0, every_epochs=0), epochs=2, backbone_warmup_steps=5)  # 8 steps
    rates = [before for before, _ in module.rates]
    assert [rate["head"] for rate in rates] == [0.05] * 8
    for part, full in (("second", 0.025), ("first", 0.0125)):
        assert [rate[part] for rate in rates] == pytest.approx(
            [full * share for share in (0.2, 0.4, 0.6, 0.8, 1, 1, 1, 1)]
        )


def test_what_becomes_trainable_later_has_the_warm_up_of_its_phase():
    module = Stepping()
    fit(module, Gradual(first_epoch=1, every_epochs=0), epochs=2, backbone_warmup_steps=5)
    assert [before["second"] for before, _ in module.rates] == [0] * 4 + [0.025] * 4


def test_a_run_that_is_resumed_in_the_warm_up_is_the_uninterrupted_one(tmp_path):
    schedule, warm = Gradual(first_epoch=0, every_epochs=0), {"backbone_warmup_steps": 6}
    keep = ModelCheckpoint(tmp_path, filename="{epoch}", save_top_k=-1, every_n_epochs=1, save_on_train_epoch_end=True)
    whole = fit(rank_scenarios.of_seed(batch_norm=True), schedule, epochs=3, more=[keep], **warm)
    again = fit(
        rank_scenarios.of_seed(seed=5, batch_norm=True), schedule, epochs=3, resume=tmp_path / "epoch=0.ckpt", **warm
    )
    for key, tensor in whole.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[key]), key


def test_after_a_step_that_fails_the_optimizer_has_all_its_groups_and_rates():
    module = Stepping(fails=True)
    with pytest.raises(KeyError, match="in the step"):
        fit(module, Gradual(first_epoch=1, every_epochs=1))
    groups = {group["name"]: group["lr"] for group in module.trainer.optimizers[0].param_groups}
    assert {name.split("/")[0] for name in groups} == {"first", "second", "head"}
    assert groups["head"] == 0.05


def test_a_phase_that_only_got_worse_ends_with_the_averages_that_were_measured_before_it():
    figures = iter([5.0, 1.0, 2.0, 3.0, 4.0])  # the head's phase ends with 1.0, which the next one never beats

    class Told(rank_scenarios.Small):
        def on_validation_epoch_end(self):
            self.log("val/told", next(figures))

    measured, begun = [], []

    class Seen(pl.Callback):
        def on_validation_end(self, trainer, module):
            measured.append({name: p.detach().clone() for name, p in module.named_parameters()})

        def on_train_batch_start(self, trainer, module, batch, batch_idx):
            if batch_idx == 0:
                begun.append({name: p.detach().clone() for name, p in module.named_parameters()})

    until = Plateau(monitor="val/told", mode="min", max_epochs=2, return_to_best=True)
    schedule = Explicit(
        phases=[{"trainable": "head", "epochs": 2}, {"trainable": "all", "until": until}, {"trainable": "all"}]
    )
    torch.manual_seed(0)
    fit(Told(batch_norm=False), schedule, more=[Seen(), EMA(decay=0.9, warmup=False)])
    for name, weight in measured[1].items():
        assert torch.equal(begun[4][name], weight), name
    assert not torch.equal(begun[2]["head.1.weight"], measured[1]["head.1.weight"])  # the averages were not trained on
