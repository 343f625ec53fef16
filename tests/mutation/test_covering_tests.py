"""The tests that run a changed line come first, and no test is left out."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from covering_tests import TestOrder, statement_lines

CODE = """def larger(
    first,
    second=1,
):
    if (
        first > second
    ):
        return (
            first
        )
    return second
"""


@pytest.mark.parametrize(("line", "lines"), [(3, [1, 2, 3, 4]), (6, [5, 6, 7]), (9, [8, 9, 10]), (11, [11])])
def test_a_line_belongs_to_its_innermost_statement_without_its_body(line, lines):
    assert list(statement_lines(CODE, line)) == lines


def test_tests_of_the_line_come_first_then_those_of_the_file_then_all_others(tmp_path):
    changed, record = tmp_path / "code.py", tmp_path / "record.json"
    changed.write_text(CODE)
    tests = {"9": ["slow::of_line", "quick::of_line"], "1": ["slow::of_file"]}
    seconds = {"slow::of_line": 3.0, "quick::of_line": 1.0, "slow::of_file": 1.0}
    record.write_text(json.dumps({"seconds": seconds, "tests": {str(changed): tests}}))
    names = ["other::any", "slow::any", "slow::of_file", "slow::of_line", "quick::of_line"]
    items = [SimpleNamespace(nodeid=name, path=Path(name.partition("::")[0])) for name in names]
    TestOrder(record, changed, line=8).pytest_collection_modifyitems(items)
    found = [item.nodeid for item in items]
    assert found == ["quick::of_line", "slow::of_line", "slow::of_file", "other::any", "slow::any"]
