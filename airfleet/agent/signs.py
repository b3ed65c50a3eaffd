"""Signs of known troubles in the journals of the last hour, and the last words of what failed."""

from __future__ import annotations

import re

from airfleet.agent import run, unitfacts

LAST = 30
MOST = 400
# A word of ours, and what stands in a journal when that has happened.
SIGNS = {
    "killed-tasks": r"exited with 'signal 15|State 'stop-sigterm' timed out",
    "killed-nine": r"exited with 'signal 9 ",
    "gave-up": r"Start request repeated too quickly",
    "unregistered": r"Received unregistered task of type|takes \d+ positional arguments? but \d+ ",
    "signature": r"The signature of the request was wrong|was sent from the future|has expired\. Make sure that all",
    "parse-timeout": r"has timed out, killing it|exceeding the timeout.*[Kk]illing",
    "bind": r"Connection in use: |Can't connect to \('|[Aa]ddress already in use|Already running on PID",
    "migrations": r"You need to (initialize|upgrade) the database|unapplied migrations",
    "broker-lost": r"Connection to broker lost|consumer: Cannot connect to",
    "gcs": r"Could not write logs to gs:|Refusing to overwrite remote|Unable to read remote log|No logs found in GCS",
    "no-space": r"No space left on device",
    "permission": r"PermissionError: \[Errno 13\]",
    "jwt": r"Invalid auth token|Failed to validate JWT",
    "api-server": r"Too many failed heartbeats|Failed to send heartbeat",
    "broken-pipe-of-name": r"A node named .* is already using this process mailbox|DuplicateNodenameWarning",
    "database-refuses": r"connection slots are reserved|too many clients already|too many connections for role",
    "database-password": r"password authentication failed for user",
    "redis-password": r"invalid username-password pair|NOAUTH Authentication required|WRONGPASS",
    "fernet": r"cryptography\.fernet\.InvalidToken|Can't decrypt",
}
OF_UNITS = {"killed-tasks": "airflow-worker@", "killed-nine": "airflow-worker@"}  # signs of theirs alone
OOM = r"Out of memory: Killed process|oom-kill:|Memory cgroup out of memory"


def look(words):
    """Return {"signs": {sign: {"count", "last", "unit", "ago_s"}}, "last_words": {unit: text}, "oom": [line, …]}."""
    since = f"@{words['now'] - words['since_s']:.0f}"
    return {"signs": _signs(words["now"], since), "last_words": _last_words(words), "oom": _oom(since)}


def _signs(now, since):
    pattern = "|".join(f"(?:{each})" for each in SIGNS.values())
    found = {}
    for entry in _entries(["--unit=airflow-*", f"--since={since}", f"--grep={pattern}", "--case-sensitive=true"]):
        text = _text(entry.get("MESSAGE"))
        unit = _text(entry.get("UNIT")) or _text(entry.get("_SYSTEMD_UNIT"))
        for sign, each in SIGNS.items():
            if re.search(each, text) and unit.startswith(OF_UNITS.get(sign, "")):
                before = found.get(sign, {"count": 0})
                found[sign] = {
                    "count": before["count"] + 1,
                    "last": text.strip()[:300],
                    "unit": unit,
                    "ago_s": round(now - run.number(_text(entry.get("__REALTIME_TIMESTAMP"))) / 1e6),
                }
    return found


def _entries(more):
    argv = ["journalctl", "--output=json", "--no-pager", f"--lines={MOST}", *more]
    for line in run.run(argv, ok=(0, 1), errors=False, timeout_s=20).splitlines():
        try:
            entry = run.parsed(line)
        except ValueError:
            continue  # a remark of journalctl's
        if isinstance(entry, dict):
            yield entry


def _text(value):
    return value if isinstance(value, str) else ""


def _last_words(words):
    """Return the end of the journal of each unit that is not simply running."""
    found = {}
    for name, unit in unitfacts.look(words).items():
        if unit["load"] != "not-found" and (unit["active"] != "active" or unit["restarts"]):
            argv = ["journalctl", "--unit", name, "--lines", str(LAST), "--output=cat", "--no-pager"]
            found[name] = run.run(argv, ok=(0, 1), errors=False, timeout_s=20).strip()
    return found


def _oom(since):
    argv = ["journalctl", "--dmesg", "--output=cat", "--no-pager", f"--since={since}", f"--grep={OOM}", "--lines=5"]
    return run.run(argv, ok=(0, 1), errors=False, timeout_s=20).splitlines()
