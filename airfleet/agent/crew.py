"""Asks Celery's workers how they are, and the broker what waits in it: the slower half of what `vitals` tells."""

from __future__ import annotations

from airfleet.agent import inside

PROGRAM = "inside_crew"
BESIDE = ("inside_celery",)
SLOW_S = 40


def crew(words, tell):
    """Return {"nodes": {name: {…}}, "queues": {name: waiting}, "unacked": n, "error": why not, or None}."""
    if not inside.there(words["venv"]):
        return {"error": "there is no Airflow yet", "nodes": {}, "queues": {}, "unacked": None}
    asked = {name: words[name] for name in ("config", "nodes", "queues", "twice")}
    return inside.ask(words["venv"], PROGRAM, asked, account=words["account"], timeout_s=SLOW_S, also=BESIDE)
