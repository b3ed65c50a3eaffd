"""The flow of `fab incident`: one archive of how it is right now, without secrets, for whoever looks at it tomorrow."""

from __future__ import annotations

import io
import json
import os
import re
import tarfile
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

from airfleet import board, logs, records, session, task_log
from airfleet.doctor import report
from airfleet.errors import FleetError, UsageError
from airfleet.examine import Examination
from airfleet.plan import describe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from airfleet.checkup import Checkup
    from airfleet.doctor.diagnosis import Diagnosis
    from airfleet.session import Fleet

IN_URL = re.compile(r"(://[^:/@\s]*:)[^@\s]+@")
TASK_WORDS = (2, 3)  # DAG TASK [RUN]
HISTORY = 50


class Screen(Protocol):
    """What the flow needs of the screen."""

    def say(self, text: str, style: str = "") -> None:
        """Print one line."""


def write_archive(env: str, *, task: str, since: str, folder: Path, screen: Screen) -> Path:
    """Write the archive (0600) into a folder and return its path; what could not be had is named in it."""
    words = task.split()
    if words and len(words) not in TASK_WORDS:
        raise UsageError(
            f"{task!r}", place="--task", remedy='"DAG TASK" or "DAG TASK RUN"', state="nothing was contacted"
        )
    missing: list[str] = []
    with session.opened(env, doing="incident", connect=True) as fleet:
        name = f"incident-{fleet.inventory.environment}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
        screen.say("looking at hosts, stores, workers")
        found = list(_seen(fleet, missing))
        mask = fleet.secrets.mask
    screen.say(f"collecting journals since {since}")
    found.append(("journals.log", _caught(missing, "journals", lambda write: _journals(env, since, write))))
    if words:
        screen.say(f"collecting the log of {task}")
        wish = task_log.Wish(words[0], words[1], " ".join(words[2:]))
        found.append(
            (
                "task.log",
                _caught(missing, "the task's log", lambda write: task_log.show_task_log(env, wish, write, write)),
            )
        )
    found.append(("missing.txt", "\n".join(missing) + "\n" if missing else "nothing is missing\n"))
    return _write(folder / f"{name}.tar.gz", name, [(file, redacted(text, mask)) for file, text in found])


def redacted(text: str, mask: Callable[[str], str]) -> str:
    """Return a text without known secrets, and without whatever stands as a password in an address."""
    return IN_URL.sub(r"\1<secret>@", mask(text))


def _seen(fleet: Fleet, missing: list[str]) -> Iterator[tuple[str, str]]:
    examination = Examination(fleet, deep=True)
    checkup, diagnosis = examination.judged(examination.whole(examination.first()))
    missing += diagnosis.unknown
    yield "status.txt", "\n".join(board.lines(checkup, diagnosis)) + "\n"
    yield "doctor.txt", "\n".join(text for text, _ in report.lines(diagnosis, 0.0, verbose=True)) + "\n"
    yield "doctor.json", _json(report.as_json(diagnosis))
    yield "facts.json", _json(_facts(checkup, diagnosis))
    yield (
        "plan.txt",
        "".join(f"{name}: {describe(change)}\n" for name, plan in checkup.plans.items() for change in plan.changes)
        or "in order\n",
    )
    with suppress(FleetError):
        yield "history.json", _json(records.read(fleet, HISTORY))


def _facts(checkup: Checkup, diagnosis: Diagnosis) -> dict[str, object]:
    return {
        "status": board.as_json(checkup, diagnosis),
        "hosts": dict(checkup.hosts),
        "crew": checkup.crew,
        "clocks": dict(checkup.clocks),
        "unreachable": dict(checkup.unreachable),
    }


def _json(value: object) -> str:
    return json.dumps(value, indent=1, default=str, ensure_ascii=False) + "\n"


def _journals(env: str, since: str, write: Callable[[str], None]) -> None:
    logs.show_logs(env, logs.Wish(since=since, lines=0), logs.Form(write=write, notice=lambda text: write(text + "\n")))


def _caught(missing: list[str], what: str, collect: Callable[[Callable[[str], None]], None]) -> str:
    """Return what a flow writes; where it fails, so far as it came, and the reason among what is missing."""
    text = io.StringIO()
    try:
        collect(text.write)  # type: ignore[arg-type]
    except FleetError as e:
        missing.append(f"{what}: {e.place}: {e.problem}")
    return text.getvalue()


def _write(path: Path, name: str, found: list[tuple[str, str]]) -> Path:
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as e:
        raise UsageError(f"can't be written: {e.strerror}", place=str(path)) from e
    with os.fdopen(handle, "wb") as file, tarfile.open(fileobj=file, mode="w:gz") as archive:
        for file_name, text in found:
            content = text.encode(errors="replace")
            entry = tarfile.TarInfo(f"{name}/{file_name}")
            entry.size, entry.mode, entry.mtime = len(content), 0o600, datetime.now(UTC).timestamp()
            archive.addfile(entry, io.BytesIO(content))
    return path
