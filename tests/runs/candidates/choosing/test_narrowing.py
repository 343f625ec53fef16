"""What a stopped choice has noted of its candidates is taken whole, or not at all."""

import json
from types import SimpleNamespace

import pytest

from headstart.runs.candidates.choosing.inference_speed import InferenceSpeed
from headstart.runs.candidates.choosing.narrowing import FILE, Narrowed, note_narrowing, noted_narrowing

ONE, OTHER = (SimpleNamespace(text=text, hash=text * 2) for text in ("a", "b"))
SPEED = InferenceSpeed(1.0, 0.1, 10)


@pytest.fixture
def folder(tmp_path):
    """A folder in which two candidates are noted, one of which goes on."""
    narrowing = Narrowed([ONE], [], {"a": SPEED, "b": SPEED}, {"a": 0.9, "b": 0.5})
    note_narrowing(narrowing._replace(dropped=[("b", 1.0, "slow")]), [ONE, OTHER], tmp_path)
    return tmp_path


def test_what_is_noted_is_found(folder):
    found = noted_narrowing([ONE, OTHER], folder)
    assert found is not None
    assert (found.kept, found.dropped[0].what, found.speeds["b"]) == ([ONE], "b", SPEED)


@pytest.mark.parametrize(
    "damage",
    [{"kept": []}, {"kept": ["c"]}, {"kept": None}, {"dropped": []}, {"dropped": [[]]}, {"speeds": {"a": [1, 2, 3]}},
     {"speeds": {"a": [1], "b": [1]}}, {"hashes": {}}],
)  # fmt: skip
def test_a_damaged_note_is_none(folder, damage):
    noted = json.loads((folder / FILE).read_text())
    (folder / FILE).write_text(json.dumps(noted | damage))
    assert noted_narrowing([ONE, OTHER], folder) is None
