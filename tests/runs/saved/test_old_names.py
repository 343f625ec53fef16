import pytest
from headstart.runs.saved.old_names import as_earlier, renamed

EARLIER = {
    "open": "schedule",
    "unfreeze": {
        "_target_": "headstart.unfreeze.explicit.Explicit",
        "phases": [{"open": ["head"], "epochs": 2}, {"_target_": "headstart.unfreeze.phases.Phase", "open": ["all"]}],
    },
}
NOW = {
    "open": "schedule",
    "unfreeze": {
        "_target_": "headstart.unfreeze.schedules.explicit_phases.Explicit",
        "phases": [
            {"trainable": ["head"], "epochs": 2},
            {"_target_": "headstart.unfreeze.schedules.schedule_phases.Phase", "trainable": ["all"]},
        ],
    },
}


def test_open_of_a_phase_is_trainable_now_and_a_hash_is_computed_over_the_earlier_name():
    assert renamed(EARLIER) == renamed(NOW) == NOW
    assert as_earlier(NOW) == as_earlier(EARLIER) == EARLIER


@pytest.mark.parametrize("change", [renamed, as_earlier])
def test_settings_of_a_schedule_of_someone_else_keep_their_names(change):
    node = {"unfreeze": {"_target_": "shapes.Schedule", "phases": [{"open": 1, "trainable": 2}]}}
    assert change(node) == node
