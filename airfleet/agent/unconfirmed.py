"""What on this host waits to be confirmed, or went back because nobody did: looked at, and put into words."""

from __future__ import annotations

import datetime as dt
import json
import os

FOLDER = "/var/lib/airfleet/way-back"
ARMED, WENT = "armed.json", "went-back.json"


def look_way_back(folder, ask):
    """Return what is unconfirmed, or went back, in words; None where nothing is: that is wanted."""
    return look(folder) or None, {}


def look(folder=FOLDER):
    """Return {"unconfirmed": words, "went back": words}, each where it is so."""
    found = {}
    armed, went = read(folder, ARMED), read(folder, WENT)
    if armed:
        until = f"{dt.datetime.fromtimestamp(armed['until']['wall'], dt.timezone.utc):%H:%M:%S}"
        when = "is going back" if armed["going"] else f"goes back at {until} UTC unless a run confirms it"
        found["unconfirmed"] = f"the {armed['doing']} of {armed['who']} since {armed['since']}; {when}"
    if went:
        found["went back"] = told(went)
    return found


def told(went):
    """Return in words when and why this host went back."""
    return f"at {went['at']}, because {went['why']}"


def read(folder, name):
    """Return what is written down in one of the two files; None where there is none."""
    try:
        with open(os.path.join(folder, name), encoding="utf-8") as f:
            return json.load(f)
    except FileNotFoundError:
        return None
