"""A headless Chromium for the tests marked `browser`: one page at a time, real keys, no package for it."""

import base64
import json
import os
import shutil
import subprocess
import time
from contextlib import contextmanager

import pytest

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)
NAMES = ("chromium", "google-chrome", "chromium-browser")
CODES = {"Tab": 9, "Enter": 13, "Escape": 27, "End": 35, "Home": 36, "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39,
         "ArrowDown": 40}  # fmt: skip


def executable():
    """The browser's path; the test is skipped where there is none."""
    program = next((path for name in NAMES if (path := shutil.which(name))), None)
    if program is None:
        pytest.skip("there is none of " + ", ".join(NAMES))
    return program


class Tab:
    """A page that is driven by the DevTools protocol over two pipes."""

    def __init__(self, commands, answers):
        self._commands, self._answers, self._rest = commands, answers, b""
        self._count, self._session, self.complaints, self._loaded = 0, None, [], 0
        target = self._ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Performance"):
            self._ask(f"{domain}.enable")

    def _ask(self, method, **parameters):
        self._count += 1
        number = self._count
        message = {"id": number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while True:
            heard = self._heard()
            if heard.get("id") == number:
                assert "error" not in heard, heard["error"]
                return heard["result"]

    def _heard(self):
        while b"\0" not in self._rest:
            piece = os.read(self._answers, 1 << 20)
            assert piece, "the browser has gone"
            self._rest += piece
        line, _, self._rest = self._rest.partition(b"\0")
        heard = json.loads(line)
        if heard.get("method") in ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded"):
            level = heard["params"].get("entry", {}).get("level", "error")
            self.complaints += [heard["params"]] if level in ("warning", "error") else []
        self._loaded += heard.get("method") == "Page.loadEventFired"
        return heard

    def open(self, url):
        """Load a page -> seconds until its load event."""
        before, start = self._loaded, time.monotonic()
        self._ask("Page.navigate", url=url)
        while self._loaded == before:
            self._heard()
        return time.monotonic() - start

    def value(self, expression):
        """What an expression of JavaScript gives; a promise's outcome."""
        answer = self._ask("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def press(self, *keys):
        """Real key presses, as a person's: what the browser does of itself happens too."""
        for key in keys:
            text = {"text": "\r"} if key == "Enter" else {}
            about = {"key": key, "code": key, "windowsVirtualKeyCode": CODES[key]}
            self._ask("Input.dispatchKeyEvent", type="keyDown", **about, **text)
            self._ask("Input.dispatchKeyEvent", type="keyUp", **about)
        self.settle()

    def settle(self):
        """Wait until what has been asked for is drawn, and its events have come."""
        frames = "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done))))"
        self.value(f"{frames}.then(() => null)")

    def click(self, selector):
        """A click into the middle of an element."""
        element = f"document.querySelector({json.dumps(selector)})"
        self.value(f"{element}.scrollIntoView({{block: 'center'}})")
        self.settle()  # what comes into sight is laid out only then
        self.value(f"{element}.scrollIntoView({{block: 'center'}})")
        x, y = self.value(f"(b => [b.x + b.width / 2, b.y + b.height / 2])({element}.getBoundingClientRect())")
        for kind in ("mousePressed", "mouseReleased"):
            self._ask("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)
        self.settle()

    def look(self, *, width, height=900, dark=False, script=True):
        """The window's size, the colours that are preferred, whether JavaScript runs; for what is opened afterwards."""
        self._ask("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._ask("Emulation.setEmulatedMedia", features=[scheme])
        self._ask("Emulation.setScriptExecutionDisabled", value=not script)

    def paper(self, *, width):
        """The page as it is printed, on paper so many pixels wide."""
        self._ask("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        self._ask("Emulation.setEmulatedMedia", media="print")
        self.settle()

    def picture(self, file):
        """The window as a PNG file."""
        file.write_bytes(base64.b64decode(self._ask("Page.captureScreenshot")["data"]))

    def figures(self):
        """Chromium's own, such as JSHeapUsedSize and LayoutDuration (s)."""
        return {metric["name"]: metric["value"] for metric in self._ask("Performance.getMetrics")["metrics"]}


@contextmanager
def tab(profile):
    """A browser's one page; profile: a folder for what the browser writes."""
    to_it, ours = os.pipe()
    theirs, from_it = os.pipe()

    command = [executable(), *FLAGS, f"--user-data-dir={profile}", "--remote-debugging-pipe"]

    def moved():
        """The protocol's two ends are file descriptors 3 and 4 by definition."""
        for end, there in [(os.dup(to_it), 3), (os.dup(from_it), 4)]:  # copies: one of the ends may be 3 or 4 itself
            os.dup2(end, there)

    done = subprocess.Popen(
        command, preexec_fn=moved, pass_fds=(3, 4), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    os.close(to_it)
    os.close(from_it)
    try:
        yield Tab(ours, theirs)
    finally:
        os.close(ours)
        os.close(theirs)
        done.terminate()
        done.wait(30)
