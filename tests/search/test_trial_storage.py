"""A journal is taken whole, mended where its last line was cut, or refused with nothing in it touched."""

import pytest

from headstart.search.trial_storage import mend_journal, opened_storage, optuna
from headstart.types import UserError


@pytest.fixture
def journal(tmp_path):
    """The journal of a study with two trials."""
    file = tmp_path / "trials.journal"
    study = optuna().create_study(study_name="pilot", storage=opened_storage(str(file)), direction="maximize")
    for value in (0.25, 0.5):
        trial = study.ask({"lr": optuna().distributions.FloatDistribution(0, 1)})
        study.tell(trial, value)
    return file


def values(file):
    study = optuna().load_study(study_name="pilot", storage=opened_storage(str(file)))
    return [trial.value for trial in study.trials]


@pytest.mark.parametrize("length", range(1, 200, 13))
def test_a_last_line_that_was_cut_anywhere_is_cut_off(journal, length):
    whole = journal.read_bytes()
    first = whole.splitlines()[2]
    journal.write_bytes(whole + first[:length])
    mend_journal(journal)
    assert journal.read_bytes() == whole
    assert values(journal) == [0.25, 0.5]


@pytest.mark.parametrize(
    "content",
    [b"notes without a line break at their end", b"lr,accuracy\n0.1,0.5", b"notes\n", b"[1]\n", b"\x80\x04pickle\n",
     b"{}\n", b'{"op_code":"x"}\n', b"[" * 100_000 + b"\n"],
)  # fmt: skip
def test_a_file_that_is_no_journal_keeps_every_byte(tmp_path, content):
    file = tmp_path / "notes.txt"
    file.write_bytes(content)
    with pytest.raises(UserError, match=r"notes\.txt is no journal of a search"):
        mend_journal(file)
    assert file.read_bytes() == content


def test_a_damaged_line_is_named_by_its_number(journal):
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join([*lines[:3], b"garbage{\n", *lines[3:]]))
    with pytest.raises(UserError, match="damaged: line 4 is no entry"):
        mend_journal(journal)


@pytest.mark.parametrize(
    ("before", "after"),
    [(b'"op_code":4', b'"op_code":99'), (b'"state"', b'"stat"'), (b"FloatDistribution", b"os.system")],
)  # fmt: skip
def test_entries_that_do_not_fit_are_damage_in_one_line(journal, before, after):
    journal.write_bytes(journal.read_bytes().replace(before, after))
    mend_journal(journal)
    with pytest.raises(UserError, match="is no journal of a search, or is damaged"):
        opened_storage(str(journal))


def test_a_folder_is_no_journal(tmp_path):
    with pytest.raises(UserError, match="must be a journal's file"):
        mend_journal(tmp_path)


def test_a_search_that_has_not_begun_has_nothing_to_mend(tmp_path):
    mend_journal(tmp_path / "trials.journal")
    (tmp_path / "empty.journal").touch()
    mend_journal(tmp_path / "empty.journal")
    assert (tmp_path / "empty.journal").read_bytes() == b""
