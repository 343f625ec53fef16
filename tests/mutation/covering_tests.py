"""Which tests run which lines of a room: measured once, so that a mutant meets the tests of its line first."""

import ast
import json
from collections import defaultdict
from pathlib import Path

import pytest


class LineRecorder:
    """A plugin of pytest that writes down which test runs which lines, and how long it takes.

    Args:
        folders: Only files below them are recorded.
        target: The JSON file that `TestOrder` reads.
    """

    def __init__(self, folders: list[Path], target: Path) -> None:
        import coverage  # make mutation installs it

        self.target = target
        self.seconds: dict[str, float] = defaultdict(float)
        include = [f"{folder}/*" for folder in folders]
        self.coverage = coverage.Coverage(data_file=None, config_file=False, include=include)
        self.coverage.start()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item):
        self.coverage.switch_context(item.nodeid)
        return (yield)

    def pytest_runtest_logreport(self, report):
        self.seconds[report.nodeid] += report.duration

    def pytest_sessionfinish(self):
        self.coverage.stop()
        data = self.coverage.get_data()
        tests = {path: data.contexts_by_lineno(path) for path in data.measured_files()}
        self.target.write_text(json.dumps({"seconds": self.seconds, "tests": tests}), encoding="utf-8")


class TestOrder:
    """A plugin of pytest that begins with the tests that run a line, the shortest first, and goes on with all others.

    Args:
        record: What `LineRecorder` wrote.
        path: The changed file.
        line: The changed line; from 1.
    """

    __test__ = False  # pytest: no class of tests

    def __init__(self, record: Path, path: Path, line: int) -> None:
        found = json.loads(record.read_text(encoding="utf-8"))
        self.seconds: dict[str, float] = found["seconds"]
        of_lines = found["tests"].get(str(path), {})
        tests_by_line = {int(number): set(tests) - {""} for number, tests in of_lines.items()}  # "": at import
        self.of_file: set[str] = set().union(*tests_by_line.values())
        statement = statement_lines(path.read_text(encoding="utf-8"), line)
        self.of_line: set[str] = set().union(*(tests_by_line.get(number, ()) for number in statement))

    def pytest_collection_modifyitems(self, items):
        items.sort(key=lambda item: (self._distance(item.nodeid), self.seconds.get(item.nodeid, 0.0)))

    def nearest(self, count: int) -> list[str]:
        """The shortest tests that run the line; where it runs at import alone, the shortest that run the file."""
        return sorted(self.of_line or self.of_file, key=lambda test: self.seconds.get(test, 0.0))[:count]

    def _distance(self, test: str) -> int:
        return 0 if test in self.of_line else 1 if test in self.of_file else 2


def statement_lines(code: str, line: int) -> range:
    """The lines of the innermost statement around a line; of a statement with a body those before the body."""
    lines = range(line, line + 1)
    for node in ast.walk(ast.parse(code)):  # outer before inner
        if isinstance(node, ast.stmt) and node.lineno <= line <= (node.end_lineno or node.lineno):
            body = getattr(node, "body", None)
            end = body[0].lineno - 1 if isinstance(body, list) else node.end_lineno or node.lineno
            lines = range(node.lineno, max(end, node.lineno, line) + 1)
    return lines
