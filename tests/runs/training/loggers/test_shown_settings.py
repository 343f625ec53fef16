"""What HPARAMS shows of a run, and which chart of Custom Scalars comes first."""

from composed import composed
from headstart.runs.status.planned_jobs import PlannedJob, note_job
from headstart.runs.training.loggers.shown_settings import shown_settings
from headstart.runs.training.loggers.tensorboard_layout import layout

JOBS = [
    ("mode=scratch", "optimizer.lr=0.01", "target.shots=5", "seed=0"),
    ("mode=fine_tuning", "optimizer.lr=0.1", "target.shots=5", "seed=0"),
]


def plan(folder):
    for number, overrides in enumerate(JOBS):
        note_job(folder, PlannedJob(folder / str(number), overrides), is_first=number == 0)


def test_of_a_sweep_what_differs_is_shown_behind_mode_and_seed(tmp_path):
    plan(tmp_path)
    shown = shown_settings(composed(*JOBS[1]), tmp_path / "1", list(JOBS[1]))
    assert list(shown.items()) == [("mode", "fine_tuning"), ("seed", 0), ("optimizer.lr", 0.1)]


def test_all_jobs_of_a_sweep_have_the_same_keys_whichever_of_them_say_more(tmp_path):
    jobs = [("mode=scratch",), ("mode=fine_tuning", "control=true", "scheduler=constant")]
    for number, overrides in enumerate(jobs):
        note_job(tmp_path, PlannedJob(tmp_path / str(number), overrides), is_first=number == 0)
    first, second = (shown_settings(composed(*job), tmp_path / str(i), list(job)) for i, job in enumerate(jobs))
    assert list(first.items()) == [("mode", "scratch"), ("seed", 0), ("control", False), ("scheduler", "")]
    assert list(second.items()) == [("mode", "fine_tuning"), ("seed", 0), ("control", True), ("scheduler", "constant")]


def test_of_a_lone_run_its_own_overrides_are_shown(tmp_path):
    own = ["target.shots=3", "+trainer.barebones=false", "scheduler=constant"]
    for _ in range(2):
        shown = shown_settings(composed("target.shots=3", "scheduler=constant"), tmp_path / "run", own)
        assert list(shown)[:3] == ["mode", "seed", "target.shots"]
        assert shown["target.shots"] == 3
        assert shown["scheduler"] == "constant"
        plan(tmp_path)  # another sweep's list, which does not have the run, says nothing of it


def test_the_monitored_metric_is_the_first_chart():
    charts = layout("val/map", adapts=True)["headstart"]
    assert list(charts) == ["val/map", "loss", "learning rates", "trainable stages", "domains"]
    assert charts["val/map"] == ["Multiline", ["^val/map$"]]
    assert "domains" not in layout("val/accuracy", adapts=False)["headstart"]
