"""The flows of `fab status` and `fab doctor`: what judges is imported while the hosts answer."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from airfleet import session
from airfleet.errors import NotHealthy

if TYPE_CHECKING:
    from airfleet.examine import Screen


def show_status(env: str, *, only: str, every_s: int, screen: Screen) -> None:
    """Print the status once, or every so many seconds; raise NotHealthy when something is wrong."""
    with session.opened(env, doing="status", only=only, connect=True) as fleet:
        from airfleet import examine
        from airfleet.doctor.finding import shown

        while True:
            diagnosis = examine.status(fleet, screen)
            if not every_s:
                break
            time.sleep(every_s)
        if not examine.good(diagnosis):
            raise NotHealthy(
                shown(len(diagnosis.causes), "cause"),
                place=fleet.inventory.environment,
                remedy="fab doctor",
                state="nothing was changed",
            )


def status_json(env: str, *, only: str) -> str:
    """Return the status as JSON."""
    with session.opened(env, doing="status", only=only, connect=True) as fleet:
        from airfleet import examine

        return fleet.secrets.mask(examine.status_json(fleet))


def show_diagnosis(env: str, *, only: str, as_json: bool, verbose: bool, screen: Screen) -> None:
    """Print what is wrong; raise NotHealthy when there is a cause, or where a look was not possible."""
    began = time.monotonic()
    with session.opened(env, doing="doctor", only=only, connect=True) as fleet:
        from airfleet import examine
        from airfleet.doctor import report
        from airfleet.doctor.finding import shown

        diagnosis = examine.whole_diagnosis(fleet)
        mask, took = fleet.secrets.mask, time.monotonic() - began
        if as_json:
            screen.say(mask(json.dumps(report.as_json(diagnosis), indent=1)))
        else:
            for text, style in report.lines(diagnosis, took, verbose=verbose):
                screen.say(mask(text), style)
        if not examine.good(diagnosis):
            raise NotHealthy(
                shown(len(diagnosis.causes), "cause") if diagnosis.causes else "a check failed",
                place=fleet.inventory.environment,
                state="nothing was changed",
            )
