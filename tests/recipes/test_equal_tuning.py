"""Every arm tries equally many settings, on val alone, once for all runs, and takes the best."""

import csv
import json
import math
from pathlib import Path

import numpy as np
import pytest
from omegaconf import OmegaConf, open_dict

from composed import TINY, composed
from headstart.cli import main
from headstart.recipes import search_space
from headstart.recipes import trial_runs as trials_module
from headstart.recipes.recipe_values import settled
from headstart.recipes.search_space import DIMENSIONS, SHIFT, at_border, settings_of, space_of
from headstart.recipes.trial_images import seen_images
from headstart.runs.folder.run_folder import write_json
from headstart.runs.folder.run_naming import config_hash
from headstart.types import UserError
from killed import command, said

RATE, DECAY, STAGES = DIMENSIONS
EQUAL = ["tuning=equal", "trainer.max_epochs=16"]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def trained(monkeypatch):
    """The configs that were trained; a trial's figure is that of `trained.figure`, of its config."""

    class Trained(list):
        loss = staticmethod(lambda _: 1.0)

        @staticmethod
        def figure(cfg):
            return 1 - abs(math.log(cfg.optimizer.lr / 0.005))

    found = Trained()

    def train(cfg, folder, *, about):
        found.append(cfg)
        epochs = cfg.trainer.max_epochs if cfg.trainer.max_epochs > 0 else cfg.trainer.max_steps // 4
        rows = [{"epoch": epoch, "step": 4 * epoch, "val/accuracy": 9.0, "val/loss": 0.0} for epoch in range(epochs)]
        rows += [{"epoch": epochs, "step": 4 * epochs, "val/accuracy": found.figure(cfg), "val/loss": found.loss(cfg)}]
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
    cfg = settled(composed("mode=scratch", *EQUAL), processes=1)
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
        assert one.metric == pytest.approx(trained.figure(trial))


@pytest.mark.parametrize(("count", "want"), [(2, [2, 1, 1]), (5, [5, 3, 2]), (16, [16, 8, 4])])
def test_the_better_half_is_rounded_up(trained, count, want):
    settled(composed("mode=scratch", *EQUAL, f"tuning.trials={count}"), processes=1)
    assert [epochs(trained).count(length) for length in (4, 8, 16)] == want


def test_without_halving_all_settings_are_trained_to_the_end(trained):
    settled(composed("mode=scratch", *EQUAL, "tuning.halving=[1.0]"), processes=1)
    assert epochs(trained) == [16] * 8


def test_a_setting_that_is_slow_at_first_is_found_without_halving_alone(trained):
    trained.figure = lambda cfg: -cfg.optimizer.lr if cfg.trainer.max_epochs == 16 else cfg.optimizer.lr
    halved = settled(composed("mode=scratch", *EQUAL), processes=1).tuned
    rates = sorted(one["values"][RATE] for one in halved.tried[:8])
    assert halved.chosen[RATE] == rates[-2]
    assert settled(composed("mode=scratch", *EQUAL, "tuning.halving=[1.0]"), processes=1).tuned.chosen[RATE] == rates[0]


@pytest.mark.parametrize("nothing", [math.nan, math.inf])
def test_a_diverged_trial_is_the_worst(trained, nothing):
    trained.figure = lambda cfg: nothing if cfg.optimizer.lr > 7e-5 else -5.0
    told = settled(composed("mode=scratch", *EQUAL, "tuning.lr=[1e-5,1e-1]"), processes=1).tuned
    assert told.chosen[RATE] <= 7e-5
    states = {one["values"][RATE] > 7e-5: one.state for one in told.tried[:8]}
    assert states[True] == "diverged"
    assert all(one.metric is None for one in told.tried if one.state == "diverged")


def test_a_loss_that_is_no_number_is_divergence_too(trained):
    trained.loss = lambda cfg: math.nan if cfg.optimizer.lr < 0.006 else 1.0
    told = settled(composed("mode=scratch", *EQUAL), processes=1).tuned
    assert told.chosen[RATE] >= 0.006


def test_ties_go_to_the_lower_loss_then_to_the_earlier_setting(trained):
    trained.figure = lambda _: 0.5
    assert settled(composed("mode=scratch", *EQUAL), processes=1).tuned.chosen[RATE] == 0.002  # as the config has it
    trained.loss = lambda cfg: cfg.optimizer.lr
    told = settled(composed("mode=scratch", *EQUAL, "tuning.seeds=[7]"), processes=1).tuned
    assert told.chosen[RATE] == min(one["values"][RATE] for one in told.tried)


def test_of_several_seeds_the_mean_decides(trained):
    rates = [one[RATE] for one in settings_of(composed(*EQUAL), {RATE: (6e-5, 0.02)}, 3)]
    figures = {10: [0.9, 0.5, 0.6], 11: [0.1, 0.5, 0.6]}
    trained.figure = lambda cfg: figures[cfg.seed][rates.index(cfg.optimizer.lr)]
    own = ["tuning.weight_decay=null", "tuning.trials=3", "tuning.halving=[1.0]", "tuning.seeds=[10,11]"]
    told = settled(composed("mode=scratch", *EQUAL, *own), processes=1).tuned
    assert told.chosen[RATE] == rates[2]
    assert [one.seed for one in told.tried] == [10, 11] * 3
    assert told.cost.runs == 6


@pytest.mark.slow
def test_trials_are_shared_by_seeds_and_studies_and_fewer_are_among_more(trained):
    first = settled(composed("mode=scratch", *EQUAL, "seed=0"), processes=1)
    assert len(trained) == 14
    again = settled(composed("mode=scratch", *EQUAL, "seed=1", "callbacks=explain", "logger=csv"), processes=1)
    assert len(trained) == 14
    assert again.tuned == first.tuned  # the cost, too, in full
    settled(composed("mode=scratch", *EQUAL, "seed=0", "tuning.trials=16"), processes=1)
    assert epochs(trained[14:]).count(4) == 8
    assert len({cfg.run_dir for cfg in trained}) == len(trained) == len(list(Path("outputs/trials").glob("*-*")))


def test_a_trial_is_the_arm_itself_at_another_seed(trained):
    cfg = composed("mode=fine_tuning", *EQUAL, "target.shots=3", "module.label_smoothing=0.1")
    with open_dict(cfg):
        cfg.control = True  # whatever the arm is, its trials are
    settled(cfg, processes=1)
    last = trained[-1]
    assert last.seed == 2000
    changed = {"seed", "optimizer", "module", "trainer", "callbacks", "logger", "start_class_means", "run_dir"}
    for key in set(cfg) - {"tuning", "rerun", "resume", "extended_lr"}:
        if key not in changed:
            assert last[key] == cfg[key], key
    assert last.module.label_smoothing == 0.1
    assert last.trainer == {**cfg.trainer, "limit_test_batches": 0}
    assert (last.oracle, last.start_class_means) == (False, False)


def test_on_several_processes_a_trial_averages_the_gradients_of_as_many_batches(trained, monkeypatch):
    monkeypatch.setattr(trials_module, "run_apart", lambda *_, **__: pytest.fail("it trains here"))
    cfg = composed("mode=scratch", "trainer.accumulate_grad_batches=2", *EQUAL)
    with trials_module.trained_here():
        settled(cfg, processes=3)
    assert trained[0].trainer.accumulate_grad_batches == 6
    assert trained[0].target.batch_size == cfg.target.batch_size


def test_the_points_are_those_of_the_halton_sequence_and_the_same_in_every_arm():
    def radical_inverse(number, base):  # Halton 1960: the digits of a number, mirrored at the point
        inverse, weight = 0.0, 1 / base
        while number:
            number, digit = divmod(number, base)
            inverse, weight = inverse + digit * weight, weight / base
        return inverse

    cfg = composed("mode=fine_tuning")
    space = {RATE: (1e-4, 1e-1), DECAY: (1e-3, 1e-1), STAGES: (0.25, 1.0)}
    found = settings_of(cfg, space, 12)
    assert found[0] == {RATE: 0.002, DECAY: 0.05, STAGES: 0.5}
    for number, values in enumerate(found[1:]):
        for base, shift, (key, (low, high)) in zip((2, 3, 5), SHIFT, space.items(), strict=True):
            want = low * (high / low) ** ((radical_inverse(number, base) + shift) % 1)
            assert values[key] == pytest.approx(want, rel=5e-4)
            assert low <= values[key] <= high
    scratch = settings_of(composed("mode=scratch"), {RATE: space[RATE]}, 12)
    assert [one[RATE] for one in scratch] == [one[RATE] for one in found]
    assert settings_of(cfg, space, 5) == found[:5]


def test_eight_settings_lie_near_both_ends_of_the_space_and_nowhere_far_apart():
    cfg = composed("mode=scratch")
    space = space_of(cfg, **AUTO)
    low, high = space[RATE]
    places = sorted(math.log(one[RATE] / low) / math.log(high / low) for one in settings_of(cfg, space, 8))
    assert places[0] < 0.1
    assert places[-1] > 0.9
    assert max(np.diff(places)) < 0.16


AUTO = {"lr": "auto", "weight_decay": "auto", "stage_decay": [0.2, 1.0], "times": [0.03, 10]}


@pytest.mark.parametrize(
    ("overrides", "want"),
    [
        (["mode=scratch"], {RATE, DECAY}),
        (["mode=multi_task"], {RATE, DECAY}),
        (["mode=feature_extraction"], {RATE, DECAY}),
        (["mode=bias_only"], {RATE, DECAY}),
        (["mode=lora"], {RATE, DECAY}),
        (["mode=AnB"], {RATE, DECAY}),
        (["mode=AnB+"], {RATE, DECAY, STAGES}),
        (["mode=fine_tuning"], {RATE, DECAY, STAGES}),
        (["mode=gradual"], {RATE, DECAY, STAGES}),
        (["mode=scratch", "optimizer=adam"], {RATE}),  # its weight decay is 0
        (["mode=scratch", "optimizer.weight_decay=null"], {RATE}),
    ],
)
def test_an_arm_varies_what_it_has(overrides, want):
    assert set(space_of(composed(*overrides), **AUTO)) == want


def test_bounds_are_the_users_or_times_the_configs_value():
    cfg = composed("mode=fine_tuning")
    assert space_of(cfg, **AUTO)[RATE] == (6e-5, 0.02)
    own = AUTO | {"lr": [1e-4, 1e-2], "weight_decay": None, "stage_decay": None}
    assert space_of(cfg, **own) == {RATE: (1e-4, 1e-2)}
    for bounds in ([1e-2, 1e-4], [1e-3, 1e-3]):
        with pytest.raises(UserError, match=r"two rising bounds above 0, .* for optimizer.lr; try tuning.lr="):
            space_of(cfg, **AUTO | {"lr": bounds})


def test_what_the_command_line_says_is_not_varied(trained, monkeypatch):
    monkeypatch.setattr(search_space, "said_keys", lambda: {RATE})
    cfg = settled(composed("mode=scratch", *EQUAL, "optimizer.lr=0.3"), processes=1)
    assert set(cfg.tuned.space) == {DECAY}
    assert {one.optimizer.lr for one in trained} == {0.3}
    monkeypatch.setattr(search_space, "said_keys", lambda: {"optimizer.lr", "optimizer.weight_decay"})
    trained.clear()
    cfg = settled(composed("mode=scratch", *EQUAL), processes=1)
    assert not trained
    assert (cfg.tuned.trials, cfg.tuned.chosen, cfg.tuned.cost.runs) == (1, {}, 0)


@pytest.mark.parametrize(
    ("values", "want"),
    [
        ({RATE: 1e-4}, [RATE]),
        ({RATE: 1.9e-4}, [RATE]),  # a tenth of three decades is a factor of 2
        ({RATE: 2.1e-4}, []),
        ({RATE: 4.9e-2}, []),
        ({RATE: 5.1e-2}, [RATE]),
        ({RATE: 1.0}, [RATE]),  # as the config had it, outside
        ({STAGES: 0.21}, [STAGES]),
        ({STAGES: 1.0}, []),  # nothing lies beyond
    ],
)
def test_the_border_is_the_outer_tenth_of_the_range_in_logarithms(values, want):
    space = {RATE: (1e-4, 1e-1), STAGES: (0.2, 1.0)}
    assert at_border(space, {RATE: 3e-3, STAGES: 0.5} | values) == want


def test_a_choice_at_the_border_is_a_warning_with_a_wider_space(trained, caplog):
    trained.figure = lambda cfg: cfg.optimizer.lr
    told = settled(composed("mode=scratch", *EQUAL, "tuning.lr=[1e-4,1e-2]"), processes=1).tuned
    assert RATE in told.border
    assert "tuning.lr=[0.0001,0.1]" in caplog.text


def test_nothing_tries_values_twice_and_no_final_seed_is_a_trials(trained):
    with pytest.raises(UserError, match=r"got seed=2000 and tuning.seeds=\[2000\]; try tuning.seeds=\[3000\]"):
        settled(composed(*EQUAL, "seed=2000"), processes=1)
    with pytest.raises(UserError, match="recipe=vtab1k and tuning both try values"):
        settled(composed("experiment=vtab1k", "tuning=equal"), processes=1)
    with pytest.raises(UserError, match="try selection=infomax"):
        settled(composed("mode=fine_tuning", "adaptation=shot", "source.characters=digits", *EQUAL), processes=1)
    assert not trained


def test_a_rule_that_tries_nothing_comes_first(trained):
    cfg = composed("experiment=bit", "mode=scratch", "tuning=equal", "recipe.step_scale=0.16", "recipe.image_side=32")
    found = settled(cfg, processes=1)  # 80 steps, milestones at 32, 48, 64, 20 validations
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
    before = settled(planned, processes=1)
    assert not trained
    assert (before.optimizer.lr, before.get("tuned")) == (0.002, None)
    chosen = settled(cfg, processes=1).optimizer.lr
    assert settled(planned, processes=1).optimizer.lr == chosen != 0.002


def test_a_runs_hash_says_what_was_chosen_not_what_it_took_to_choose(trained):
    cfg = settled(composed("mode=scratch", *EQUAL), processes=1)
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


def results(pattern):
    return [json.loads(path.read_text()) for path in sorted(Path().glob(pattern))]


def levels(pattern):
    """Mode -> the mean level at the end over the seeds."""
    found = {}
    for path in Path().glob(pattern):
        with (path.parent / "metrics.csv").open(newline="") as file:
            rows = [float(row["val/accuracy"]) for row in csv.DictReader(file) if row.get("val/accuracy")]
        found.setdefault(json.loads(path.read_text())["mode"], []).append(np.mean(rows[-3:]))
    return {mode: np.mean(values) for mode, values in found.items()}


PLANTED = [
    "weights=file", "weights.path=source.pth", "optimizer=sgd", "optimizer.weight_decay=0", "head.init=random",
    "trainer.max_epochs=8", "trainer.accelerator=cpu", "logger=csv", "callbacks.figures=null", "feature_cache=off",
    "start_class_means=false", "trainer.limit_val_batches=6",
]  # fmt: skip


@pytest.mark.slow
def test_where_the_best_rates_differ_tenfold_only_the_tuned_study_names_the_right_winner():
    import planted

    planted.write_source("source.pth")
    option = Path("conf/backbone/planted.yaml")
    option.parent.mkdir(parents=True)
    option.write_text("# nine linear features\n_target_: planted.linear_features\nkeep: null\n")
    arms = ["--config-dir", "conf", "-m", "backbone=planted", "mode=scratch,feature_extraction", "seed=0", *PLANTED]
    assert main([*arms, "hydra.sweep.dir=outputs/untuned"]) == 0
    equal = ["tuning=equal", "tuning.trials=6", "tuning.lr=[2e-3,8]", "tuning.halving=[0.5,1.0]"]
    assert main([*arms, *equal, "hydra.sweep.dir=outputs/tuned"]) == 0
    untuned, tuned = levels("outputs/untuned/*/result.json"), levels("outputs/tuned/*/result.json")
    assert untuned["scratch"] > untuned["feature_extraction"] + 0.2
    assert tuned["feature_extraction"] > tuned["scratch"] + 0.05
    assert tuned["scratch"] >= untuned["scratch"]
    rates = {run["mode"]: run["tuned"]["chosen"][RATE] for run in results("outputs/tuned/*/result.json")}
    assert rates["feature_extraction"] > 5 * rates["scratch"]
    assert len(results("outputs/trials/*/result.json")) == 2 * (6 + 3)
    assert all(run["tuned"] is None for run in results("outputs/untuned/*/result.json"))
    for run in results("outputs/tuned/*/result.json"):
        trials = [json.loads(Path(one["folder"], "result.json").read_text()) for one in run["tuned"]["tried"]]
        assert run["tuned"]["cost"]["steps"] == sum(trial["steps"] for trial in trials)
        cfg = OmegaConf.load(next(Path("outputs/tuned").glob(f"*{run['name']}")) / ".hydra" / "config.yaml")
        assert cfg.tuned == run["tuned"]
        assert cfg.optimizer.lr == run["tuned"]["chosen"][RATE]
        files = [Path(one["folder"], "answers", "val.npz") for one in run["tuned"]["tried"]]
        seen = np.concatenate([np.load(file)["image"] for file in files])
        kept = np.load(next(Path("outputs/tuned").glob(f"*{run['name']}")) / "answers" / "val.npz")
        assert kept["seen_by_trials"].tolist() == [image in set(seen) for image in kept["image"]]
        assert 0 < kept["seen_by_trials"].mean() < 1  # the seed draws val, of which a part is measured here
    # a second study of the same arms trains its own runs alone
    before = {path: path.stat().st_mtime_ns for path in Path("outputs/trials").rglob("*")}
    assert main([*arms, *equal, "seed=1", "mode=scratch", "hydra.sweep.dir=outputs/second"]) == 0
    assert before == {path: path.stat().st_mtime_ns for path in Path("outputs/trials").rglob("*")}
    assert results("outputs/second/*/result.json")[0]["tuned"] == next(
        run["tuned"] for run in results("outputs/tuned/*/result.json") if run["mode"] == "scratch"
    )


def test_trials_never_look_at_test():
    equal = ["tuning=equal", "tuning.trials=2", "trainer.max_epochs=2", "tuning.halving=[1.0]"]
    own = ["target._target_=unreadable.DigitsWithoutTest", "target.shots=2", "mode=gradual", "head.init=class_means"]
    cfg = settled(composed(*own, *equal), processes=1)
    assert len(cfg.tuned.tried) == 2
    for trial in results("outputs/trials/*/result.json"):
        assert trial["sizes"]["test"] == 720
        assert not [name for name in trial["metrics"] if name.startswith("test/")]
    from headstart.runs.training.train_run import train
    from unreadable import ReadError

    with pytest.raises(ReadError):  # as the run itself does
        train(cfg, Path("run"), about={"study": "", "name": "", "hash": "0", "overrides": []})


SMALL = [
    *(one for one in TINY if not one.startswith(("callbacks", "trainer.max_epochs"))), "mode=scratch", "tuning=equal",
    "tuning.trials=2", "tuning.halving=[0.5,1.0]", "trainer.max_epochs=2", "logger=csv", "callbacks.figures=null",
]  # fmt: skip


@pytest.mark.slow
def test_on_two_processes_the_trials_are_trained_in_one_of_their_own():
    assert main([*SMALL, "trainer=ddp_cpu"]) == 0
    (run,) = results("outputs/runs/*/result.json")
    assert run["processes"] == 2
    trials = results("outputs/trials/*/result.json")
    assert [trial["processes"] for trial in trials] == [1] * 3
    assert run["tuned"]["cost"]["runs"] == 3
    per_epoch = {trial["steps"] / trial["evaluations"][-1]["epoch"] for trial in trials}
    assert per_epoch == {run["steps"] / 2}  # an optimizer step of a trial sees as many images


@pytest.mark.slow
def test_a_run_that_was_killed_in_a_trial_ends_as_one_that_was_not(tmp_path):
    run = [
        *SMALL, "callbacks.checkpoint.min_interval_s=0", "callbacks.checkpoint.every_steps=1",
        "+callbacks.stop._target_=resume_plugins.Stop",
    ]  # fmt: skip
    whole, killed = (tmp_path / name for name in ("place1", "place2"))  # not "killed": the module
    for place in (whole, killed):
        place.mkdir()
    assert command(whole, *run) == 0, said(whole)
    command(killed, *run, stop=("on_train_batch_start", 5))  # in the trial of two epochs of four steps
    assert len(list(killed.glob("outputs/trials/*/result.json"))) == 2
    assert command(killed, *run, "resume=auto") == 0, said(killed)
    assert "going on from outputs/trials/" in said(killed)
    ended = [json.loads(next(place.glob("outputs/runs/*/result.json")).read_text()) for place in (whole, killed)]
    assert ended[0]["weights_hash"] == ended[1]["weights_hash"]
    assert ended[0]["hash"] == ended[1]["hash"]
    for told in (one["tuned"] for one in ended):
        told["cost"].pop("wall_s")
    assert ended[0]["tuned"] == ended[1]["tuned"]
