"""A run of before whose figures would be others today is not taken for a finished one."""

import pytest

from composed import composed
from headstart.runs.folder import run_naming
from headstart.runs.folder.run_naming import config_hash

TABLE = ["data@target=table", "target.table=photos.csv"]


@pytest.mark.parametrize(
    ("overrides", "changed"),
    [
        (["module.class_weights=balanced"], True),
        (["module.class_weights={8: 5}"], True),
        ([*TABLE, "module.class_weights=balanced"], True),
        ([*TABLE, "target.label_separator='|'", "module.class_weights=balanced"], False),  # a mean over images already
        ([], False),
    ],
)
def test_the_hash_is_another_where_the_figures_are(overrides, changed, monkeypatch):
    cfg = composed("mode=scratch", *overrides)
    now = config_hash(cfg)
    monkeypatch.setattr(run_naming, "changed_figures", lambda _: [])
    assert (config_hash(cfg) != now) is changed
