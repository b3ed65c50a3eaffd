"""Evidence, before anything is mended."""

from __future__ import annotations

from tasks.door import ENV_HELP, command, environment


@command(
    help={
        "env": ENV_HELP,
        "since": "journals from then on: 2h, 10:00, yesterday (default 1h)",
        "task": 'a task whose log belongs to it: "DAG TASK" or "DAG TASK RUN"',
        "to": "the folder for the archive (default: this one)",
    }
)
def incident(c, env="", since="1h", task="", to="."):
    """
    Collect how it is right now into one archive without secrets: before something is mended, and for tomorrow.

    Status, diagnosis, what `fab plan` would change, all facts, the history, all journals, and a task's log.
    The file is yours alone (0600). What could not be had is named in it. Changes nothing.
    """
    from pathlib import Path

    from airfleet.incident import write_archive
    from tasks import screen

    report = screen.Screen()
    path = write_archive(environment(env), task=task, since=since, folder=Path(to), screen=report)
    report.say(f"written: {path}", "bold green")
