"""Every arm tries equally many settings, on val alone, once for all runs, and takes the best."""

import csv
import math
from pathlib import Path

import numpy as np
import pytest
from omegaconf import OmegaConf, open_dict

from composed import composed
from headstart.recipes import search_space
from headstart.recipes import trial_runs as trials_module
from headstart.recipes.recipe_values import with_recipes
from headstart.recipes.search_space import DIMENSIONS, settings_of
from headstart.recipes.val_images_of_trials import seen_images
from headstart.runs.folder.run_folder import write_json
from headstart.runs.folder.run_naming import config_hash
from headstart.types import UserError

RATE, DECAY, STAGES = DIMENSIONS
EQUAL = ["tuning=equal", "trainer.max_epochs=16"]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def trained(monkeypatch):
    """The configs that were trained; a trial's metric is `trained.metric` of its config."""

    class Trained(list):
        loss = staticmethod(lambda _: 1.0)

        @staticmethod
        def metric(cfg):
            return 1 - abs(math.log(cfg.optimizer.lr / 0.005))

    found = Trained()

    def train(cfg, folder, *, about):
        found.append(cfg)
        epochs = cfg.trainer.max_epochs if cfg.trainer.max_epochs > 0 else cfg.trainer.max_steps // 4
        rows = [{"epoch": epoch, "step": 4 * epoch, "val/accuracy": 9.0, "val/loss": 0.0} for epoch in range(epochs)]
        rows += [{"epoch": epochs, "step": 4 * epochs, "val/accuracy": found.metric(cfg), "val/loss": found.loss(cfg)}]
        count = min(3, math.ceil(epochs / 2))  # the last evaluations count
        for row in rows[-count:]:
            row |= {"val/accuracy": rows[-1]["val/accuracy"], "val/loss": rows[-1]["val/loss"]}
        with (folder / "metrics.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)
        result = {
            "format": 2, **about, "mode": cfg.mode, "seed": cfg.seed, "monitor": "val/accuracy", "selection": None,
            "evaluations": [{"epoch": epochs, "step": 4 * epochs, "examples": 50 * epochs, "wall_s": 1.5}],
            "steps": 4 * epochs, "examples": 50 * epochs, "wall_s": 1.5, "metrics": {},
        }  # fmt: skip
        write_json(folder / "result.json", result)

    monkeypatch.setattr(trials_module, "train", train)
    return found


def epochs(configs):
    return [cfg.trainer.max_epochs for cfg in configs]


def test_the_better_half_goes_on_and_the_best_at_the_full_length_is_chosen(trained):
    cfg = with_recipes(composed("mode=scratch", *EQUAL), processes=1)
    assert epochs(trained) == [4] * 8 + [8] * 4 + [16] * 2
    rates = [one.optimizer.lr for one in trained]
    closest = sorted(rates[:8], key=lambda rate: abs(math.log(rate / 0.005)))
    assert set(rates[8:12]) == set(closest[:4])
    assert set(rates[12:]) == set(closest[:2])
    told = cfg.tuned
    assert cfg.optimizer.lr == told.chosen[RATE] == closest[0]
    assert "tuning" not in cfg
    assert (told.trials, told.seeds, told.by) == (8, [2000], "val/accuracy")
    states = [one.state for one in told.tried]
    assert [states[:8].count(state) for state in ("pruned", "finished")] == [4, 4]
    assert [states[8:12].count(state) for state in ("pruned", "finished")] == [2, 2]
    assert states[12:] == ["finished"] * 2
    assert told.cost == {"wall_s": 14 * 1.5, "examples": 50 * 96, "steps": 4 * 96, "runs": 14}
    for one, trial in zip(told.tried, trained, strict=True):
        assert one.folder == trial.run_dir
        assert one.epochs == trial.trainer.max_epochs
        assert one["values"] == {key: OmegaConf.select(trial, key) for key in told.space}
        assert one.metric == pytest.approx(trained.metric(trial))


@pytest.mark.parametrize(("count", "want"), [(2, [2, 1, 1]), (5, [5, 3, 2]), (16, [16, 8, 4])])
def test_the_better_half_is_rounded_up(trained, count, want):
    with_recipes(composed("mode=scratch", *EQUAL, f"tuning.trials={count}"), processes=1)
    assert [epochs(trained).count(length) for length in (4, 8, 16)] == want


def test_without_halving_all_settings_are_trained_to_the_end(trained):
    with_recipes(composed("mode=scratch", *EQUAL, "tuning.halving=[1.0]"), processes=1)
    assert epochs(trained) == [16] * 8


def test_a_setting_that_is_slow_at_first_is_found_without_halving_alone(trained):
    trained.metric = lambda cfg: -cfg.optimizer.lr if cfg.trainer.max_epochs == 16 else cfg.optimizer.lr
    halved = with_recipes(composed("mode=scratch", *EQUAL), processes=1).tuned
    rates = sorted(one["values"][RATE] for one in halved.tried[:8])
    assert halved.chosen[RATE] == rates[-2]
    assert (
        with_recipes(composed("mode=scratch", *EQUAL, "tuning.halving=[1.0]"), processes=1).tuned.chosen[RATE]
        == rates[0]
    )


@pytest.mark.parametrize("nothing", [math.nan, math.inf])
def test_a_diverged_trial_is_the_worst(trained, nothing):
    trained.metric = lambda cfg: nothing if cfg.optimizer.lr > 7e-5 else -5.0
    told = with_recipes(composed("mode=scratch", *EQUAL, "tuning.lr=[1e-5,1e-1]"), processes=1).tuned
    assert told.chosen[RATE] <= 7e-5
    states = {one["values"][RATE] > 7e-5: one.state for one in told.tried[:8]}
    assert states[True] == "diverged"
    assert all(one.metric is None for one in told.tried if one.state == "diverged")


def test_a_loss_that_is_no_number_is_divergence_too(trained):
    trained.loss = lambda cfg: math.nan if cfg.optimizer.lr < 0.006 else 1.0
    told = with_recipes(composed("mode=scratch", *EQUAL), processes=1).tuned
    assert told.chosen[RATE] >= 0.006


def test_ties_go_to_the_lower_loss_then_to_the_earlier_setting(trained):
    trained.metric = lambda _: 0.5
    assert (
        with_recipes(composed("mode=scratch", *EQUAL), processes=1).tuned.chosen[RATE] == 0.002
    )  # as the config has it
    trained.loss = lambda cfg: cfg.optimizer.lr
    told = with_recipes(composed("mode=scratch", *EQUAL, "tuning.seeds=[7]"), processes=1).tuned
    assert told.chosen[RATE] == min(one["values"][RATE] for one in told.tried)


def test_of_several_seeds_the_mean_decides(trained):
    rates = [one[RATE] for one in settings_of(composed(*EQUAL), {RATE: (6e-5, 0.02)}, 3)]
    figures = {10: [0.9, 0.5, 0.6], 11: [0.1, 0.5, 0.6]}
    trained.metric = lambda cfg: figures[cfg.seed][rates.index(cfg.optimizer.lr)]
    own = ["tuning.weight_decay=null", "tuning.trials=3", "tuning.halving=[1.0]", "tuning.seeds=[10,11]"]
    told = with_recipes(composed("mode=scratch", *EQUAL, *own), processes=1).tuned
    assert told.chosen[RATE] == rates[2]
    assert [one.seed for one in told.tried] == [10, 11] * 3
    assert told.cost.runs == 6


@pytest.mark.slow
def test_trials_are_shared_by_seeds_and_studies_and_fewer_are_among_more(trained):
    first = with_recipes(composed("mode=scratch", *EQUAL, "seed=0"), processes=1)
    assert len(trained) == 14
    again = with_recipes(composed("mode=scratch", *EQUAL, "seed=1", "callbacks=explain", "logger=csv"), processes=1)
    assert len(trained) == 14
    assert again.tuned == first.tuned  # the cost, too, in full
    with_recipes(composed("mode=scratch", *EQUAL, "seed=0", "tuning.trials=16"), processes=1)
    assert epochs(trained[14:]).count(4) == 8
    assert len({cfg.run_dir for cfg in trained}) == len(trained) == len(list(Path("outputs/trials").glob("*-*")))


def test_a_trial_is_the_arm_itself_at_another_seed(trained):
    cfg = composed("mode=fine_tuning", *EQUAL, "target.shots=3", "module.label_smoothing=0.1")
    with open_dict(cfg):
        cfg.control = True  # whatever the arm is, its trials are
    with_recipes(cfg, processes=1)
    last = trained[-1]
    assert last.seed == 2000
    changed = {"seed", "optimizer", "module", "trainer", "callbacks", "logger", "start_class_means", "run_dir"}
    for key in set(cfg) - {"tuning", "rerun", "resume", "extended_lr", "tests", "trial", "retry", "live_table"}:
        if key not in changed:
            assert last[key] == cfg[key], key
    assert last.module.label_smoothing == 0.1
    assert last.trainer == {**cfg.trainer, "limit_test_batches": 0}
    assert (last.oracle, last.start_class_means) == (False, False)


def test_on_several_processes_a_trial_averages_the_gradients_of_as_many_batches(trained, monkeypatch):
    monkeypatch.setattr(trials_module, "run_apart", lambda *_, **__: pytest.fail("it trains here"))
    cfg = composed("mode=scratch", "trainer.accumulate_grad_batches=2", *EQUAL)
    with trials_module.training_in_this_process():
        with_recipes(cfg, processes=3)
    assert trained[0].trainer.accumulate_grad_batches == 6
    assert trained[0].target.batch_size == cfg.target.batch_size


def test_what_the_command_line_says_is_not_varied(trained, monkeypatch):
    monkeypatch.setattr(search_space, "command_line_keys", lambda: {RATE})
    cfg = with_recipes(composed("mode=scratch", *EQUAL, "optimizer.lr=0.3"), processes=1)
    assert set(cfg.tuned.space) == {DECAY}
    assert {one.optimizer.lr for one in trained} == {0.3}
    monkeypatch.setattr(search_space, "command_line_keys", lambda: {"optimizer.lr", "optimizer.weight_decay"})
    trained.clear()
    cfg = with_recipes(composed("mode=scratch", *EQUAL), processes=1)
    assert not trained
    assert (cfg.tuned.trials, cfg.tuned.chosen, cfg.tuned.cost.runs) == (1, {}, 0)


def test_a_choice_at_the_border_is_a_warning_with_a_wider_space(trained, caplog):
    trained.metric = lambda cfg: cfg.optimizer.lr
    told = with_recipes(composed("mode=scratch", *EQUAL, "tuning.lr=[1e-4,1e-2]"), processes=1).tuned
    assert RATE in told.border
    assert "tuning.lr=[0.0001,0.1]" in caplog.text


def test_nothing_tries_values_twice_and_no_final_seed_is_a_trials(trained):
    with pytest.raises(UserError, match=r"got seed=2000 and tuning.seeds=\[2000\]; try tuning.seeds=\[3000\]"):
        with_recipes(composed(*EQUAL, "seed=2000"), processes=1)
    with pytest.raises(UserError, match="recipe=vtab1k and tuning both try values"):
        with_recipes(composed("experiment=vtab1k", "tuning=equal"), processes=1)
    with pytest.raises(UserError, match="try selection=infomax"):
        with_recipes(composed("mode=fine_tuning", "adaptation=shot", "source.characters=digits", *EQUAL), processes=1)
    assert not trained


def test_a_recipe_that_tries_nothing_comes_first(trained):
    cfg = composed("experiment=bit", "mode=scratch", "tuning=equal", "recipe.step_scale=0.16", "recipe.image_side=32")
    found = with_recipes(cfg, processes=1)  # 80 steps, milestones at 32, 48, 64, 20 validations
    assert [one.trainer.max_steps for one in trained] == [20] * 8 + [40] * 4 + [80] * 2
    assert {one.target.batch_size for one in trained} == {512} == {found.target.batch_size}
    assert list(trained[0].scheduler.milestones) == [8, 12, 16]
    assert (found.trainer.max_steps, list(found.scheduler.milestones)) == (80, [32, 48, 64])
    assert [one["values"][RATE] for one in found.tuned.tried[:1]] == [0.003]


def test_the_plan_trains_nothing_and_is_that_of_the_choice_where_there_is_one(trained):
    cfg = composed("mode=scratch", *EQUAL)
    planned = OmegaConf.create(cfg)
    with open_dict(planned):
        planned.task, planned.plan = "plan", {"_target_": "headstart.tasks.plan.plan"}
        del planned["fit"]
    before = with_recipes(planned, processes=1)
    assert not trained
    assert (before.optimizer.lr, before.get("tuned")) == (0.002, None)
    chosen = with_recipes(cfg, processes=1).optimizer.lr
    assert with_recipes(planned, processes=1).optimizer.lr == chosen != 0.002


def test_a_runs_hash_says_what_was_chosen_not_what_it_took_to_choose(trained):
    cfg = with_recipes(composed("mode=scratch", *EQUAL), processes=1)
    other = OmegaConf.create(cfg)
    other.tuned.cost.wall_s = 1e6
    assert config_hash(other) == config_hash(cfg)
    other.optimizer.lr = 1.0
    assert config_hash(other) != config_hash(cfg)
    untried = composed("mode=scratch", *EQUAL)  # by it the folder is called, whether there are trials or not
    assert config_hash(untried) != config_hash(composed("mode=scratch", *EQUAL, "tuning.trials=4"))


def test_the_images_that_trials_have_seen_are_those_of_all_of_them(tmp_path):
    tried = []
    for number, images in enumerate(([5, 2**64 - 1], [7, 5], [7, 5])):
        folder = tmp_path / f"trial{number // 2}" if number else tmp_path / "trial9"
        (folder / "answers").mkdir(parents=True, exist_ok=True)
        np.savez(folder / "answers" / "val.npz", image=np.array(images, np.uint64))
        tried.append({"folder": str(folder)})
    found = seen_images({"tried": tried})
    assert (found.dtype, found.tolist()) == (np.uint64, [5, 7, 2**64 - 1])
    assert seen_images(None) is None
    assert seen_images({"tried": [*tried, {"folder": str(tmp_path / "none")}]}) is None
