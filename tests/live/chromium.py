"""A real Chromium without a screen, led by its own chromedriver over the WebDriver protocol: nothing else is needed."""

from __future__ import annotations

import base64
import contextlib
import json
import socket
import subprocess
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DRIVER = "/usr/bin/chromedriver"
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # how WebDriver names an element
# Airflow 2 draws its grid in a shadow tree, whose text is no part of the body's.
TEXT = """
const texts = [document.body ? document.body.innerText : ""];
const below = (root) => root.querySelectorAll("*").forEach((each) => {
    if (!each.shadowRoot) return;
    for (const child of each.shadowRoot.children) if (child.tagName !== "STYLE") texts.push(child.innerText);
    below(each.shadowRoot);
});
below(document);
return texts.join("\\n");
"""
PATIENCE_S = 90


class Page:
    """One window."""

    def __init__(self, base: str) -> None:
        """Open it, whoever has signed the certificate of what it will show."""
        self._base = base
        arguments = ["--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1400,1000"]
        arguments += ["--no-proxy-server", "--disable-gpu"]
        wanted = {"acceptInsecureCerts": True, "goog:chromeOptions": {"args": arguments}}
        wanted["goog:loggingPrefs"] = {"browser": "ALL"}
        self._session = self._ask("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})["sessionId"]

    def close(self) -> None:
        """Close it."""
        self._in("DELETE", "")

    def open(self, url: str) -> None:
        """Go to an address."""
        self._in("POST", "/url", {"url": url})

    @property
    def address(self) -> str:
        """Where it is now."""
        return str(self._in("GET", "/url"))

    @property
    def cookies(self) -> list[dict[str, Any]]:
        """The cookies that it has for this address."""
        return list(self._in("GET", "/cookie"))

    @property
    def text(self) -> str:
        """What a reader sees."""
        return str(self._in("POST", "/execute/sync", {"script": TEXT, "args": []}))

    def type(self, selector: str, text: str) -> None:
        """Type into what this CSS selector finds."""
        self._in("POST", f"/element/{self._found(selector)}/value", {"text": text})

    def click(self, selector: str) -> None:
        """Click on it."""
        self._in("POST", f"/element/{self._found(selector)}/click", {})

    def see(self, words: str) -> None:
        """Wait until a reader sees these words."""
        self._until(lambda: words in self.text, f"{words!r} on {self.address}")

    def leave(self, words: str) -> None:
        """Wait until it is no longer at an address that has these words in it."""
        self._until(lambda: words not in self.address, f"away from {words}")

    def picture(self, path: Path) -> None:
        """Keep what it looks like."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(base64.b64decode(self._in("GET", "/screenshot")))

    def _found(self, selector: str) -> str:
        words = {"using": "css selector", "value": selector}
        return str(self._until(lambda: self._in("POST", "/elements", words), selector)[0][ELEMENT])

    def _until(self, condition: Any, what: str) -> Any:
        deadline, said = time.monotonic() + PATIENCE_S, ""
        while True:
            try:
                if found := condition():
                    return found
            except AssertionError as e:
                said = str(e)  # a page that is just being left can't be asked
            assert time.monotonic() < deadline, f"waited {PATIENCE_S} s in vain: {what}\n{said}\n{self._seen()}"
            time.sleep(0.2)

    def _seen(self) -> str:
        """Return what a reader sees, and what the browser has complained of."""
        console = self._in("POST", "/se/log", {"type": "browser"})
        return "\n".join([self.text[:2000], *(f"{each['level']}: {each['message'][:500]}" for each in console)])

    def _in(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        return self._ask(method, f"/session/{self._session}{path}", body)

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(self._base + path, data, {"Content-Type": "application/json"}, method=method)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=PATIENCE_S) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as e:
            raise AssertionError(f"{method} {path}: {e.read().decode()[:1000]}") from e


@contextlib.contextmanager
def chromium() -> Iterator[Page]:
    """Run a driver and yield a window of its browser."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    driver = subprocess.Popen([DRIVER, f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + PATIENCE_S
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            assert driver.poll() is None, "chromedriver has ended"
            assert time.monotonic() < deadline
        page = Page(f"http://127.0.0.1:{port}")
        try:
            yield page
        finally:
            page.close()
    finally:
        driver.terminate()
        driver.wait(timeout=20)
