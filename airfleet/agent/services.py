"""Services of this host started, stopped and restarted one at a time, and how long a page was away meanwhile."""

from __future__ import annotations

import threading
import time

from airfleet.agent import patience, run, units, web

BACK_S = 180
LOOK_S = 0.1
RUNNING = ("active", "activating", "reloading", "deactivating")


def steer(words, tell):
    """Start, stop or restart one unit: {"unit", "verb", "timeout_s"}, and "page", an address that is watched, or "".

    The answer: {"before", "active", "seconds", "began", "outage_s"}; "began" is in seconds since the epoch, "outage_s"
    None where no page was watched or it was not there before.
    """
    unit, verb = words["unit"], words["verb"]
    run.run(["systemctl", "daemon-reload"])
    before = units.show([unit])[unit]
    if before["LoadState"] == "not-found":
        raise run.Refused(f"systemd knows no unit {unit}", kind="missing", remedy="run: fab bootstrap")
    began, clock = time.time(), time.monotonic()
    page = _Page(words["page"]) if words["page"] and verb == "restart" else None
    if verb == "stop":
        active = units.stop(unit, words["timeout_s"], tell)
    elif verb == "restart" or before["ActiveState"] != "active":
        units.start(unit, verb, words["timeout_s"], tell)
        active = "active"
    else:
        active = "active"
    outage_s = page.back(tell) if page else None
    if outage_s:
        patience.remember(outage_s)
    return {
        "before": before["ActiveState"],
        "active": active,
        "seconds": round(time.monotonic() - clock, 1),
        "began": began,
        "outage_s": outage_s,
    }


def active_units(words, tell):
    """Return {"active": [those that run, or are about to, of the units that match `patterns`]}."""
    argv = ["systemctl", "list-units", "--plain", "--no-legend", "--full", f"--state={','.join(RUNNING)}", "--"]
    text = run.run([*argv, *words["patterns"]], errors=False)
    return {"active": sorted(line.split()[0] for line in text.splitlines() if line.strip())}


class _Page:
    """Looks at a page all the while, and remembers when it went and when it came back."""

    def __init__(self, url):
        self.url = url
        self.gone = self.came = None
        self.was_there = self._answers()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def back(self, tell):
        """Wait until the page answers again; return how long it was away, in seconds (None: it never was there)."""
        began = time.monotonic()
        while self.came is None and time.monotonic() - began < BACK_S:
            if self._over.wait(5) or (self.gone is None and self.was_there):
                break
            tell(f"waiting for {self.url} to answer: {time.monotonic() - began:.0f} s, at most {BACK_S} s")
        self._over.set()
        if not self.was_there or self.gone is None:
            return None if not self.was_there else 0.0
        return round((self.came or time.monotonic()) - self.gone, 1)

    def _watch(self):
        while not self._over.is_set():
            now = time.monotonic()
            if self._answers():
                if self.gone is not None:
                    self.came = time.monotonic()
                    self._over.set()
            elif self.gone is None:
                self.gone = now
            self._over.wait(LOOK_S)

    def _answers(self):
        try:
            return web.status(self.url) < 500
        except web.Wrong:
            return False
