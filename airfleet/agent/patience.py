"""What Airflow 3's running workers have read about an API server that is away, and how long it was away before."""

from __future__ import annotations

import contextlib
import glob
import json
import os

from airfleet.agent import kept, paths

OUTAGES = "/var/lib/airfleet/web-outages.json"
KEPT = 10
LEFT = "/run/airflow-worker@*/patience"  # by each worker as it starts


def patience(words, tell):
    """Return {"workers": {unit: [line of airflow.cfg, …]}, "outages_s": [the latest that were measured here]}."""
    found = {}
    for path in sorted(glob.glob(LEFT)):
        with contextlib.suppress(FileNotFoundError):  # it stopped meanwhile
            found[os.path.basename(os.path.dirname(path))] = paths.read(path).splitlines()
    return {"workers": found, "outages_s": outages()}


def outages():
    """Return the latest outages of the web pages that restarts on this host have cost, in seconds."""
    try:
        with open(OUTAGES) as f:
            return [float(each) for each in json.load(f)]
    except (FileNotFoundError, ValueError, TypeError):
        return []


def remember(outage_s):
    """Note an outage that was measured."""
    kept.write(OUTAGES, [*outages(), outage_s][-KEPT:])
