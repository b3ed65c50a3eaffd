"""Holding an installation still for a while, and letting it go on as it was."""

from __future__ import annotations

from tasks.door import ENV_HELP, command, environment


@command(
    help={
        "env": ENV_HELP,
        "reason": "why, for everybody who looks: kept in the record, the history and Airflow's audit log",
        "only": "drain the workers of these hosts alone, comma separated (default: of all hosts)",
        "max_wait": "seconds to wait for running tasks; then everything is put back as it was, exit 7 (default 3600)",
        "no_drain": "pause the DAGs alone: tasks that run go on, workers keep taking what is queued",
        "dry_run": "print the plan and stop",
    }
)
def on(c, env="", reason="", only="", max_wait=3600, no_drain=False, dry_run=False):
    """
    Pause every DAG that is active and not paused, then let the workers finish their tasks and take no new ones.

    What is about to be paused is recorded first, on the host of the scheduler: whatever happens to you or to this
    computer, `fab maintenance.off` restores exactly what was before. If tasks hold out to --max-wait, or anything
    fails, everything is put back at once. Typed again after it was cut in the middle, it goes on. Exit 8 when it is on.
    """
    from airfleet.maintenance_on import Wish, switch_on
    from tasks import screen

    wish = Wish(reason, only, not no_drain, max_wait, dry_run)
    switch_on(environment(env), wish, screen.Screen())


@command(
    help={
        "env": ENV_HELP,
        "only": "give back the workers of these hosts alone, as when another one is dead (default: all recorded)",
    }
)
def off(c, env="", only=""):
    """
    Put back what `maintenance.on` changed: restart the drained workers, then unpause exactly the DAGs it paused.

    A DAG that was paused before stays paused, and so does one that somebody paused by hand meanwhile; those are named.
    Cut in the middle, it goes on when it is typed again. Exit 0 when maintenance is off.
    """
    from airfleet.maintenance import switch_off
    from tasks import screen

    switch_off(environment(env), only, screen.Screen())


@command(help={"env": ENV_HELP, "json": "print JSON"})
def status(c, env="", json=False):
    """
    Tell whether maintenance is on: by whom, since when, why, and which DAGs it paused. Exit code 0 in any case.
    """
    from airfleet import maintenance
    from airfleet.pauses import spoken
    from tasks import screen

    found = maintenance.status(environment(env), screen.Screen())
    if json:
        screen.json(found)
        return
    for line in spoken(found):
        screen.line(line)
