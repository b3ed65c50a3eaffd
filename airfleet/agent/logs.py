"""The journals of this host's units, in parts as they come: first what is there already, then what follows."""

from __future__ import annotations

import time

from airfleet.agent import run, stream

# What another program says of a unit names that in a field of its own: systemd, its keeper of core dumps, or root.
OF_OTHERS = ("UNIT", "COREDUMP_UNIT", "OBJECT_SYSTEMD_UNIT")
FIELDS = ",".join(("MESSAGE", "PRIORITY", "_SYSTEMD_UNIT", *OF_OTHERS))
PART = 500  # entries
TIME = "__REALTIME_TIMESTAMP"
SAME = 100  # at most so many entries are of the same microsecond
RACE_S = 1


def logs(words, part):
    """Tell {"entries": [[microseconds since the epoch, unit, priority, message], …]} in the order of the journal.

    `units` (names and patterns), `since` (as for journalctl), `zone` (what a time of day is understood in, as TZ),
    `lines` (the last ones alone; 0 for all), `grep`, `follow`. What is there already ends with {"live": true}.
    """
    began = time.time()
    newest = _past(words, part)
    part({"live": True})
    if words["follow"]:
        _live(words, newest, began, part)
    return {}


def _past(words, part):
    """Tell what is there; return the newest entries of it, all of the same microsecond."""
    more = [f"--since={words['since']}"]
    if not words["lines"]:
        last = []

        def forward(entries):
            last[:] = entries[-SAME:]
            _tell(entries, part)

        _run(words, more, forward)
        return _newest(last[::-1])
    found = []
    _run(words, [*more, "--reverse", f"--lines={words['lines']}"], found.extend)
    for at in range(len(found), 0, -PART):
        _tell(found[max(0, at - PART) : at][::-1], part)
    return _newest(found)


def _newest(backwards):
    return [entry for entry in backwards[:SAME] if entry[TIME] == backwards[0][TIME]]


def _live(words, newest, began, part):
    """Tell what follows, until nobody listens; a journal is written in the order of its times."""
    if newest:
        microseconds = int(newest[0][TIME])
        since = f"--since=@{microseconds // 10**6}.{microseconds % 10**6:06d}"
    else:
        since = f"--since=@{began - RACE_S:.6f}"  # so what was written meanwhile is new, and nothing is told twice
    told = {entry["__CURSOR"] for entry in newest}

    def follow(entries):
        _tell([entry for entry in entries if entry["__CURSOR"] not in told], part)

    _run(words, [since, "--follow", "--no-tail"], follow)
    raise run.Refused("journalctl does not follow any longer", remedy="run it again")


def _run(words, more, take):
    """Hand on the entries that journalctl prints."""
    argv = ["journalctl", "--quiet", "--no-pager", "--output=json", "--all", f"--output-fields={FIELDS}"]
    argv += [f"--unit={unit}" for unit in words["units"]]
    if words["grep"]:
        argv.append(f"--grep={words['grep']}")

    def out(data):
        take(list(entries_of(data)))

    err = stream.Kept()
    status = stream.stream([*argv, *more], out, err, env={"TZ": words["zone"]})
    if "Failed to parse timestamp" in err.text:
        raise run.Refused(
            f"journalctl knows no such time: {words['since']}",
            kind="usage",
            remedy='such as "1 hour ago", 2h, 10:00, yesterday or "2026-11-25 10:00"',
        )
    said = [line for line in err.text.splitlines() if line.strip() and not line.startswith("Journal file ")]
    if said and "pattern" in said[-1]:
        remedy = "journalctl --grep takes regular expressions as Perl does"
        raise run.Refused(said[-1], kind="usage", remedy=remedy)
    # Status 1 without a word: nothing matches the pattern.
    if status and (said or not words["grep"]):
        raise run.Refused(f"journalctl ended with {status}", tail=run.tail("\n".join(said)))


def entries_of(data):
    """Yield the entries in lines of journalctl's, but for those that are cut or strange."""
    for line in data.split(b"\n"):
        try:
            entry = run.parsed(line) if line.startswith(b"{") else {}
        except ValueError:
            continue
        at = entry.get(TIME) if isinstance(entry, dict) else None
        if at == str(run.number(at)) and isinstance(entry.get("__CURSOR"), str):
            yield entry


def _tell(entries, part):
    if entries:
        part({"entries": [words_of(entry) for entry in entries]})


def words_of(entry):
    """Return an entry as it is told."""
    unit = next((entry[name] for name in OF_OTHERS if entry.get(name)), entry.get("_SYSTEMD_UNIT"))
    priority = entry.get("PRIORITY")
    return [
        int(entry[TIME]),
        _text(unit),
        run.number(priority) if isinstance(priority, str) and priority.isdigit() else None,
        _text(entry.get("MESSAGE")),
    ]


def _text(value):
    """Return a field's value: text, a list of bytes where it has what does not print, or a list of several values."""
    if isinstance(value, list) and all(isinstance(each, int) and 0 <= each < 256 for each in value):
        return bytes(value).decode("utf-8", "replace")
    if isinstance(value, list):
        return "\n".join(_text(each) for each in value)
    return "" if value is None else str(value)
