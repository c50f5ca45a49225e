"""A headless Chromium that is steered over the Chrome DevTools Protocol, as a person uses a page: online, offline, by
keyboard, on a phone, in the dark. https://chromedevtools.github.io/devtools-protocol/"""

import base64
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import websocket

SECONDS = 60.0
STATES = "{offline: %s, latency: 0, downloadThroughput: -1, uploadThroughput: -1}"


class PageError(AssertionError):
    """The page's script failed, or what was waited for did not come."""


@dataclass
class Page:
    """One tab. `problems` collects what its console and its errors say."""

    socket: websocket.WebSocket
    browser: "Chromium"
    number: int = 0
    problems: list[str] = field(default_factory=list)

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        self.number += 1
        self.socket.send(json.dumps({"id": self.number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self.socket.recv())
            if message.get("id") == self.number:
                if "error" in message:
                    raise PageError(f"{method}: {message['error']}")
                return dict(message["result"])
            self._note(message)

    def _note(self, message: dict[str, Any]) -> None:
        said = message.get("params", {})
        if message.get("method") == "Runtime.exceptionThrown":
            self.problems.append(str(said["exceptionDetails"].get("exception", said["exceptionDetails"]))[:500])
        elif message.get("method") == "Log.entryAdded" and said["entry"]["level"] == "error":
            self.problems.append(f"{said['entry']['text']} {said['entry'].get('url', '')}"[:500])

    def go(self, address: str) -> None:
        self.run("delete window.gone; window.before = true")
        self.send("Page.navigate", url=address)
        self.wait("document.readyState === 'complete' && !window.before", f"{address} to load")

    def run(self, script: str) -> Any:
        """The value of an expression, of a promise once it is settled."""
        answer = self.send("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in answer:
            raise PageError(str(answer["exceptionDetails"].get("exception", answer["exceptionDetails"]))[:1000])
        return answer["result"].get("value")

    def wait(self, condition: str, what: str = "", seconds: float = SECONDS) -> None:
        """Waits until an expression is true, also across pages that are loaded meanwhile."""
        end = time.monotonic() + seconds
        while True:
            try:
                if self.run(f"Promise.resolve({condition}).then(Boolean)"):
                    return
            except PageError as error:
                if time.monotonic() > end:
                    raise PageError(f"waited for {what or condition}: {error}") from error
            if time.monotonic() > end:
                raise PageError(f"waited in vain for {what or condition}; the page says: {self.text()[:2000]}")
            time.sleep(0.05)

    def text(self) -> str:
        return " ".join(str(self.run("document.body.innerText")).split())

    def press(self, key: str, *, control: bool = False) -> None:
        code = {"Enter": 13, "Escape": 27}.get(key, ord(key[0].upper()))
        text = "\r" if key == "Enter" else key if len(key) == 1 else ""
        common = {"key": key, "windowsVirtualKeyCode": code, "modifiers": 2 if control else 0}
        self.send("Input.dispatchKeyEvent", type="keyDown", text="" if control else text, **common)
        self.send("Input.dispatchKeyEvent", type="keyUp", **common)

    def type(self, text: str) -> None:
        self.send("Input.insertText", text=text)

    def choose(self, selector: str, *files: Path) -> None:
        """Chooses files in a field for them."""
        root = self.send("DOM.getDocument")["root"]["nodeId"]
        node = self.send("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.send("DOM.setFileInputFiles", nodeId=node, files=[str(file) for file in files])

    def offline(self, gone: bool = True) -> None:
        """Takes the page, and its service worker, off the network."""
        conditions = {"offline": gone, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
        self.send("Network.emulateNetworkConditions", **conditions)

    def size(self, width: int, height: int = 900, *, dark: bool = False) -> None:
        phone = width < 700
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=phone)
        feature = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.send("Emulation.setEmulatedMedia", features=[feature])

    def scripts(self, on: bool) -> None:
        self.send("Emulation.setScriptExecutionDisabled", value=not on)

    def picture(self, file: Path, *, whole: bool = False) -> None:
        made = self.send("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        file.write_bytes(base64.b64decode(made["data"]))


@dataclass(frozen=True)
class Chromium:
    port: int

    def tab(self) -> Page:
        target = httpx.put(f"http://127.0.0.1:{self.port}/json/new?about:blank", timeout=SECONDS).json()
        socket = websocket.create_connection(target["webSocketDebuggerUrl"], timeout=SECONDS, suppress_origin=True)
        page = Page(socket, self)
        for domain in ("Page", "Runtime", "Network", "Log"):
            page.send(f"{domain}.enable")
        page.size(1280)
        return page


@contextmanager
def chromium(program: str) -> Iterator[Chromium]:
    """A browser with a profile of its own."""
    with tempfile.TemporaryDirectory(prefix="penstock-browser-", ignore_cleanup_errors=True) as profile:
        options = ["--headless=new", "--disable-gpu", "--disable-dev-shm-usage", "--remote-debugging-port=0"]
        options += [f"--user-data-dir={profile}", "--no-first-run", "--hide-scrollbars", "--window-size=1280,900"]
        if os.getuid() == 0:
            options.append("--no-sandbox")  # Chromium refuses to have one as root; all pages are our own
        process = subprocess.Popen(
            [program, *options, "about:blank"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            yield Chromium(_port(process, Path(profile) / "DevToolsActivePort"))
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(20)


def _port(process: "subprocess.Popen[bytes]", file: Path) -> int:
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        assert process.poll() is None, "Chromium ended at its start"
        if file.is_file() and (lines := file.read_text().splitlines()):
            return int(lines[0])
        time.sleep(0.05)
    raise AssertionError("Chromium does not listen")


def find_chromium() -> str | None:
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
