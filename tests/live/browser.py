"""A headless Chromium, driven over its DevTools protocol: how a page looks, and what it asks for.

Chromium takes commands at descriptor 3 and answers at 4, JSON with a zero byte after each:
https://chromedevtools.github.io/devtools-protocol/
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

NAMES = ("chromium", "chromium-browser", "google-chrome")
DESKTOP, PHONE = (1280, 900), (390, 844)


def find_browser() -> str | None:
    """Return the program, if there is one."""
    return next(filter(None, map(shutil.which, NAMES)), None)


@dataclass
class Browser:
    """One tab.

    Attributes:
        requests: The addresses that the page asked for since it was opened, itself first.
        complaints: What its console and its security policy said.
    """

    commands: BinaryIO
    answers: BinaryIO
    session: str = ""
    last: int = 0
    loaded: bool = False
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command and return its result; events that come before it are noted."""
        self._send(method, parameters)
        while (answer := self._read()).get("id") != self.last:
            self._note(answer)
        assert "error" not in answer, answer
        return dict(answer["result"])

    def open(self, path: Path, *, size: tuple[int, int] = DESKTOP, is_dark: bool = False) -> None:
        """Open a file, on a screen of ``size`` CSS pixels."""
        scheme = "dark" if is_dark else "light"
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        width, height = size
        is_phone = width < height
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=2 if is_phone else 1,
            mobile=is_phone,
        )
        self.loaded = False
        self.requests.clear()
        self.complaints.clear()
        self.call("Page.navigate", url=path.resolve().as_uri())
        while not self.loaded:
            self._note(self._read())

    def evaluate(self, expression: str) -> Any:
        """Return the value of a JavaScript expression; the page's own security policy does not bind it."""
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def picture(self, path: Path, *, most: int = 4000) -> None:
        """Write the page as a PNG, of a long one the first ``most`` CSS pixels."""
        width, height = self.evaluate("[innerWidth, document.documentElement.scrollHeight]")
        clip = {"x": 0, "y": 0, "width": width, "height": min(height, most), "scale": 1}
        shot = self.call("Page.captureScreenshot", format="png", clip=clip, captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))

    def _send(self, method: str, parameters: dict[str, Any]) -> None:
        self.last += 1
        message: dict[str, Any] = {"id": self.last, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        self.commands.write(json.dumps(message).encode() + b"\0")
        self.commands.flush()

    def _read(self) -> dict[str, Any]:
        content = bytearray()
        while (byte := self.answers.read(1)) != b"\0":
            assert byte, "Chromium has ended"
            content += byte
        return dict(json.loads(content))

    def _note(self, event: dict[str, Any]) -> None:
        method, parameters = event.get("method"), event.get("params", {})
        if method == "Network.requestWillBeSent":
            self.requests.append(parameters["request"]["url"])
        elif method == "Page.loadEventFired":
            self.loaded = True
        elif method in {"Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled"}:
            self.complaints.append(json.dumps(parameters))


@contextlib.contextmanager
def running_browser(program: str, folder: Path) -> Iterator[Browser]:
    """Run a browser with a profile of its own and one empty tab, and end it at last."""
    to_read, write_commands = os.pipe()
    read_answers, to_write = os.pipe()
    command = [program, "--headless", "--remote-debugging-pipe", f"--user-data-dir={folder / 'profile'}"]
    # a container has a small /dev/shm and, for root, no sandbox; nothing but our own files is opened
    command += ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--no-first-run", "--mute-audio"]
    command += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    shell = f'exec "$0" "$@" 3<&{to_read} 4>&{to_write}'
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            ["bash", "-c", shell, *command],
            pass_fds=(to_read, to_write),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=os.environ | {"HOME": str(folder)},
        )
    os.close(to_read)
    os.close(to_write)
    with os.fdopen(write_commands, "wb") as commands, os.fdopen(read_answers, "rb") as answers:
        browser = Browser(commands, answers)
        try:
            target = browser.call("Target.createTarget", url="about:blank")["targetId"]
            attached = browser.call("Target.attachToTarget", targetId=target, flatten=True)
            browser.session = attached["sessionId"]
            for domain in ("Page", "Network", "Log", "Runtime"):
                browser.call(f"{domain}.enable")
            yield browser
        finally:
            process.terminate()
            process.wait(30)
