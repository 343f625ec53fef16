"""The table in the documentation is the one that the benchmark wrote."""

from pathlib import Path

ROOT = Path(__file__).parents[1]
BEGIN, END = "<!-- make bench-ddp: from here -->", "<!-- make bench-ddp: to here -->"


def test_the_page_on_unfreezing_shows_the_results_of_the_benchmark_as_they_are():
    page = (ROOT / "docs" / "how_to" / "unfreezing.md").read_text(encoding="utf-8")
    results = (ROOT / "benchmarks" / "RESULTS-ddp.md").read_text(encoding="utf-8")
    assert page.partition(BEGIN)[2].partition(END)[0].strip() == results.partition("\n")[2].strip()
