"""The tests that run a changed line come first, and no test is left out."""

import json
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
    tests = {"9": ["slow_of_line", "quick_of_line"], "1": ["slow_of_file", "quick_of_file"]}
    seconds = {"slow_of_line": 3.0, "quick_of_line": 1.0, "slow_of_file": 2.0, "quick_of_file": 0.1}
    record.write_text(json.dumps({"seconds": seconds, "tests": {str(changed): tests}}))
    names = ["any", "slow_of_file", "slow_of_line", "quick_of_file", "quick_of_line"]
    items = [SimpleNamespace(nodeid=name) for name in names]
    order = TestOrder(record, changed, line=8)
    assert order.nearest(1) == ["quick_of_line"]
    order.pytest_collection_modifyitems(items)
    assert [item.nodeid for item in items] == [
        "quick_of_line",
        "slow_of_line",
        "quick_of_file",
        "slow_of_file",
        "any",
    ]
