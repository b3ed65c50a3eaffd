"""Tells programs and web addresses what became of a run; whatever they do, the run is as it is.

All are told at the same time, each within its own time limit. One that fails is a line on the screen, never an error.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import tempfile
import threading
import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from airfleet import notices, patterns
from airfleet.inventory_file import PREFIX

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from airfleet.model import Words
    from airfleet.sections_notify import Notify
    from airfleet.session import Fleet

SLACK_S = 1
SECRET = "webhook_url"  # noqa: S105  # the name of the secret, not its value
LONGEST_SAID = 200


class Failed(Exception):
    """Somebody could not be told; the argument says why, without what may be secret."""


def tell(fleet: Fleet, entry: Words, say: Callable[[str, str], None]) -> None:
    """Tell everybody in `notify` who wants to know of this entry of the history; `say` gets a line for each failure."""
    if not fleet.inventory.notify:
        return
    event = notices.event_of(fleet.inventory.environment, entry, fleet.secrets.mask)
    told = [_Telling(fleet, each, event) for each in fleet.inventory.notify if notices.wants(each, event)]
    for each in told:
        each.start()
    try:
        for line in [line for each in told for line in each.ended()]:
            say(f"  {fleet.secrets.mask(line)}", "yellow")
    except KeyboardInterrupt:
        say("  notify: not waited for", "yellow")


class _Telling(threading.Thread):
    """One program or address that is being told. A daemon: nobody waits for it longer than its time limit."""

    def __init__(self, fleet: Fleet, to: Notify, event: Words) -> None:
        super().__init__(daemon=True)
        self.to = to
        self.body = json.dumps(event).encode()
        self.folder = fleet.secrets_path.parent
        self.url = to.webhook or ""
        if self.url == "secret":
            self.url = fleet.secrets[SECRET].reveal() if SECRET in fleet.secrets else ""
        self.problem = "gave no answer"
        self.deadline = time.monotonic() + to.timeout_s

    @property
    def title(self) -> str:
        """Whom it tells, as it may be printed: arguments and paths may hold a token."""
        if self.to.command:
            return self.to.command[0]
        return notices.shown(self.url) if self.url else "webhook"

    def run(self) -> None:
        """Tell, and note what went wrong."""
        try:
            if self.to.command:
                run_command(self.to.command, self.body, self.to.timeout_s, self.folder)
            else:
                post(self.url, self.body, self.to.timeout_s)
            self.problem = ""
        except Failed as e:
            self.problem = str(e)

    def ended(self) -> Iterator[str]:
        """Wait for its end, at most to its deadline; yield what went wrong, if anything did."""
        self.join(max(0.0, self.deadline + SLACK_S - time.monotonic()))
        if self.is_alive():
            yield f"notify: {self.title}: took more than {self.to.timeout_s} s, not waited for"
        elif self.problem:
            yield f"notify: {self.title}: {self.problem}"


def run_command(argv: tuple[str, ...], body: bytes, timeout_s: float, folder: Path) -> None:
    """Run a program in the inventory's folder, with the event on its stdin, or raise Failed; no shell is involved.

    It gets the operator's environment without airfleet's secrets. At the time limit it is ended, with its children.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    with tempfile.TemporaryFile() as errors:  # a pipe would be waited for as long as a child of the program has it
        try:
            child = subprocess.Popen(
                argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                cwd=folder,
                env=environment,
                start_new_session=True,
            )
        except OSError as e:
            raise Failed(e.strerror or type(e).__name__) from e
        try:
            child.communicate(body, timeout=timeout_s)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)  # it is there until it is waited for
            child.wait()
            raise Failed(f"took more than {timeout_s} s and was ended") from None
        errors.seek(0)
        last = errors.read().decode(errors="replace").strip().splitlines()[-1:] or [""]
    if child.returncode:
        raise Failed(f"ended with {child.returncode}: {last[0][:LONGEST_SAID]}".removesuffix(": "))


def post(url: str, body: bytes, timeout_s: float) -> None:
    """Post the event to an address, or raise Failed; no redirection is followed, certificates are verified."""
    import http.client
    import urllib.error
    import urllib.request

    if not url:
        raise Failed(f"the secret {SECRET} is missing: write it into secrets.yaml, or set {PREFIX}{SECRET.upper()}")
    if not re.fullmatch(patterns.WEBHOOK, url):
        raise Failed(f"the secret {SECRET} is not {patterns.WORDS[patterns.WEBHOOK]}")

    class Stay(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *_args: object) -> None:
            """Go nowhere else: the event is for this address alone."""

    handlers: list[urllib.request.BaseHandler] = [Stay()]
    if urlsplit(url).scheme == "http":  # this computer itself: no proxy can reach it
        handlers.append(urllib.request.ProxyHandler({}))
    request = urllib.request.Request(  # noqa: S310  # http and https alone, by the pattern above
        url, data=body, headers={"Content-Type": "application/json", "User-Agent": "airfleet"}
    )
    try:
        urllib.request.build_opener(*handlers).open(request, timeout=timeout_s).close()
    except urllib.error.HTTPError as e:
        raise Failed(f"answered {e.code}") from None
    except urllib.error.URLError as e:
        raise Failed(_reason(e.reason)) from None
    except (OSError, http.client.HTTPException) as e:
        raise Failed(_reason(e)) from None


def _reason(error: object) -> str:
    """Return why nobody was reached, in the system's words: those of the libraries may quote the address."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return type(error).__name__
