"""A real browser shows the report's curves and rows, without a complaint."""

import os
import subprocess
from pathlib import Path

import pytest

from chromium import FLAGS, executable
from headstart.report.report_files import write_report

pytestmark = pytest.mark.browser


@pytest.fixture
def browse(tmp_path: Path):
    """Run the browser with further arguments -> (what it printed, what it logged)."""
    found = executable()

    def run(*arguments: str) -> tuple[str, str]:
        command = [found, *FLAGS, "--enable-logging=stderr", f"--user-data-dir={tmp_path / 'profile'}", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
        return done.stdout, done.stderr

    return run


def test_curves_and_rows_are_in_the_dom_and_the_console_is_clean(demo: Path, browse):
    page = write_report(demo).page
    dom, log = browse("--dump-dom", page.as_uri())
    assert [line for line in log.splitlines() if "CONSOLE" in line] == []
    for arm in ("scratch", "feature_extraction", "fine_tuning", "gradual"):
        assert dom.count(f'data-arm="{arm}" d="M') == 2, "a line by steps and one by images"
    assert dom.count('class="band') == 14, "four modes and three controls"
    assert dom.count('class="dot') == 14, "the script has run"
    assert dom.count("<article") == 6, "three modes, two questions"
    assert dom.count('<a href="mode%3D') == 37 + 2, "all runs, and those left out"
    assert "headstart -m study=demo" in dom


def test_the_keyboard_reads_the_curves(demo: Path, browse, tmp_path: Path):
    page = write_report(demo).page.read_text()
    press = (
        "<script>const p = document.querySelector('.plot');"
        "for (const key of ['Home', 'ArrowRight']) p.dispatchEvent(new KeyboardEvent('keydown', {key}));"
        "</script>"
    )
    (tmp_path / "pressed.html").write_text(page.replace("</body>", press + "</body>"))
    dom, log = browse("--dump-dom", (tmp_path / "pressed.html").as_uri())
    assert "CONSOLE" not in log
    assert "<b>2 optimizer steps</b>" in dom


def test_the_keyboard_reads_the_curves_over_an_axis(tmp_path: Path, save_run, browse):
    for n in (1, 2, 3):
        for seed in range(2):
            save_run(tmp_path / "s", "AnB", seed, [0.5 + 0.1 * n] * 6, [f"weights.reset_from={n}", f"seed={seed}"])
    page = write_report(tmp_path / "s").page.read_text()
    press = (
        "<script>const p = document.querySelector('#axis-0 .plot');"
        "for (const key of ['Home', 'ArrowRight']) p.dispatchEvent(new KeyboardEvent('keydown', {key}));"
        "</script>"
    )
    (tmp_path / "pressed.html").write_text(page.replace("</body>", press + "</body>"))
    dom, log = browse("--dump-dom", (tmp_path / "pressed.html").as_uri())
    assert "CONSOLE" not in log
    assert "<b>weights.reset_from=2</b>" in dom
    assert "<td>0.700</td>" in dom


@pytest.fixture
def adapted(tmp_path: Path, save_run) -> Path:
    """A study of an adaptation, with an oracle and a long name."""
    for seed in range(3):
        for method, test in (("source_only", 0.7), ("cdan", 0.9), ("dan", 0.5)):
            more = ["adaptation.octaves=[-3,-2,-1,0,1,2,3]"] if method == "dan" else []
            metrics = {"val/accuracy": 0.97, "test/accuracy": test + 0.01 * seed, "oracle/accuracy": test + 0.05}
            named = {"class": "SourceOnly" if method == "source_only" else method.upper(), "main": "source"}
            overrides = [f"adaptation={method}", *more, f"seed={seed}"]
            save_run(tmp_path / "s", "scratch", seed, [0.1, 0.9], overrides, adaptation=named, metrics=metrics)
    return tmp_path / "s"


def test_methods_of_an_adaptation_have_a_card_and_a_row_of_dots_each(adapted: Path, browse):
    dom, log = browse("--dump-dom", write_report(adapted).page.as_uri())
    assert [line for line in log.splitlines() if "CONSOLE" in line] == []
    assert dom.count("<article") == 2
    assert dom.count('class="track') == 3
    assert dom.count('class="seed"') == 9


@pytest.mark.parametrize("study", ["demo", "adapted"])
@pytest.mark.parametrize("width", [390, 1200])
def test_a_screenshot_can_be_taken_and_nothing_is_wider_than_the_window(request, study, browse, tmp_path, width: int):
    page = write_report(request.getfixturevalue(study)).page
    target = Path(os.environ.get("HEADSTART_SCREENSHOT") or tmp_path / "report.png")
    if (study, width) == ("demo", 1200):
        browse(f"--window-size={width},1560", f"--screenshot={target}", page.as_uri())
        assert target.read_bytes().startswith(b"\x89PNG")
    frame = f'<iframe src="{page.as_uri()}" width="{width}" height="900"></iframe>'
    probe = (
        "<script>onload = () => { const d = frames[0].document.documentElement;"
        "document.title = d.scrollWidth <= d.clientWidth ? 'fits' : `wide ${d.scrollWidth}`; }</script>"
    )
    (tmp_path / "frame.html").write_text(frame + probe)
    dom, _ = browse("--allow-file-access-from-files", "--dump-dom", (tmp_path / "frame.html").as_uri())
    assert "<title>fits</title>" in dom
