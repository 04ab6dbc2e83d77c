"""A headless Chromium, driven through the pipes of its DevTools protocol."""

import json
import os
import shutil
import subprocess
from base64 import b64decode
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PROGRAM = next((found for name in PROGRAMS if (found := shutil.which(name))), None)
# The browser reads commands from descriptor 3 and writes to descriptor 4.
START = 'read_from=$1; write_to=$2; shift 2; exec "$@" 3<&"$read_from" 4>&"$write_to"'
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--disable-extensions", "--hide-scrollbars", "--remote-debugging-pipe"),
)


class Browser:
    """One page of a browser.

    Attributes:
        problems: errors and warnings of the console, exceptions, and requests of the network.

    Args:
        profile: an empty folder for the browser's files.
    """

    def __init__(self, profile: Path):
        to_browser, commands = os.pipe()
        answers, from_browser = os.pipe()
        words = [PROGRAM, *FLAGS, f"--user-data-dir={profile}", "about:blank"]
        self.process = subprocess.Popen(
            ["bash", "-c", START, "bash", str(to_browser), str(from_browser), *words],
            pass_fds=(to_browser, from_browser),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_browser)
        os.close(from_browser)
        self.commands, self.answers = os.fdopen(commands, "wb"), os.fdopen(answers, "rb")
        self.count, self.buffer, self.session, self.problems = 0, b"", None, []
        self.events: list[str] = []
        pages = self.send("Target.getTargets")["targetInfos"]
        page = next(each["targetId"] for each in pages if each["type"] == "page")
        attached = self.send("Target.attachToTarget", targetId=page, flatten=True)
        self.session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_) -> None:
        self.session = None
        with suppress(OSError, EOFError):
            self.send("Browser.close")
        self.commands.close()
        self.answers.close()
        self.process.wait(20)

    def send(self, method: str, **params) -> dict[str, Any]:
        """Send a command, and return its result; events on the way are noted."""
        self.count += 1
        message = {"id": self.count, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        self.commands.write(json.dumps(message).encode() + b"\0")
        self.commands.flush()
        while True:
            found = self.receive()
            if found.get("id") == message["id"]:
                assert "error" not in found, found
                return found["result"]

    def receive(self) -> dict[str, Any]:
        """Return the next message of the browser, which is an answer or an event."""
        while b"\0" not in self.buffer:
            data = os.read(self.answers.fileno(), 1 << 20)
            if not data:
                raise EOFError("the browser has ended")
            self.buffer += data
        text, _, self.buffer = self.buffer.partition(b"\0")
        found = json.loads(text)
        self.note(found)
        return found

    def note(self, message: dict[str, Any]) -> None:
        """Note an event, and the problem that it reports."""
        method, params = message.get("method", ""), message.get("params", {})
        self.events.append(method)
        if method == "Runtime.exceptionThrown":
            self.problems.append(params["exceptionDetails"])
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning"):
            self.problems.append(params["args"])
        elif method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.problems.append(params["entry"])
        elif method == "Network.requestWillBeSent":
            url = params["request"]["url"]
            if not url.startswith(("file:", "data:", "about:", "blob:")):
                self.problems.append(url)

    def open(self, path: Path) -> None:
        """Open a file, and wait until it is loaded."""
        self.events.clear()
        self.send("Page.navigate", url=path.absolute().as_uri())
        while "Page.loadEventFired" not in self.events:
            self.receive()

    def resize(self, width: int, height: int = 800) -> None:
        """Take the width and height of a window in CSS pixels."""
        sizes = {"width": width, "height": height, "deviceScaleFactor": 1}
        self.send("Emulation.setDeviceMetricsOverride", mobile=width < 500, **sizes)
        self.wait_for_frame()

    def wait_for_frame(self) -> None:
        """Wait until the page has handled what came before, and is painted."""
        script = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
        self.send("Runtime.evaluate", expression=script, awaitPromise=True)

    def set_scheme(self, name: str) -> None:
        """Prefer the colour scheme `light` or `dark`."""
        feature = {"name": "prefers-color-scheme", "value": name}
        self.send("Emulation.setEmulatedMedia", features=[feature])
        self.wait_for_frame()

    def evaluate(self, script: str) -> Any:
        """Return the value of an expression of JavaScript on the page."""
        found = self.send("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def screenshot(self, path: Path) -> None:
        """Write the whole page as a PNG file."""
        found = self.send("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(b64decode(found["data"]))
