"""A run that was killed or stopped at any moment, and went on, equals the undisturbed run."""

import signal

import pytest

from disturbed import RUN
from killed import command, said
from same_run import assert_same, run_of

STOPS = {signal.SIGTERM: 143, signal.SIGINT: 130, signal.SIGHUP: 129}


@pytest.mark.drawn(120)
def test_a_run_that_is_killed_or_stopped_now_and_then_ends_as_the_whole_one(whole, tmp_path, chance):
    place, took_s = whole
    for _ in range(chance.randint(1, 3)):
        number = chance.choice([signal.SIGKILL, signal.SIGKILL, *STOPS])
        code = command(tmp_path, *RUN, "resume=auto", after=(chance.uniform(0.1, took_s), number))
        # a signal before the command handles signals ends it as any other process
        assert code in (0, -number, STOPS.get(number)), said(tmp_path)
        assert not [*tmp_path.glob("outputs/*/*/error.txt")]
    assert command(tmp_path, *RUN, "resume=auto") == 0, said(tmp_path)
    assert_same(run_of(tmp_path), run_of(place))


@pytest.mark.drawn(30)
def test_a_sweep_with_a_source_model_that_is_stopped_again_and_again_loses_no_run(tmp_path, chance):
    sweep = [
        "-m", *(one for one in RUN if one not in ("mode=scratch", "trainable=schedule")), "mode=scratch,fine_tuning",
        "resume=auto",
    ]  # fmt: skip
    before = 0
    for _ in range(4):
        number = chance.choice([signal.SIGKILL, *STOPS])
        code = command(tmp_path, *sweep, after=(chance.uniform(1, 12), number))
        assert code in (0, -number, STOPS.get(number)), said(tmp_path)
        results = [*tmp_path.glob("outputs/sweep-*/*/result.json")]
        assert len(results) >= before
        before = len(results)
        assert not [*tmp_path.glob("outputs/*/*/error.txt")]
    assert command(tmp_path, *sweep) == 0, said(tmp_path)
    assert len([*tmp_path.glob("outputs/sweep-*/*/result.json")]) == 2
    assert len([*tmp_path.glob("outputs/source/*/result.json")]) == 1
    assert [*tmp_path.glob("outputs/sweep-*/report.html")]
