"""What on-call asks first: how is it, and what is wrong."""

from __future__ import annotations

from tasks.door import ENV_HELP, ONLY_HELP, command, environment

JSON_HELP = "print it as JSON, for a machine"
COLOURS = {"✗": "red", "✓": "", "?": "yellow"}


@command(
    help={
        "env": ENV_HELP,
        "only": ONLY_HELP,
        "json": JSON_HELP,
        "watch": "look again every few seconds until Ctrl-C",
        "every": "seconds between two looks with --watch (default 5)",
    }
)
def status(c, env="", only="", json=False, watch=False, every=5):
    """
    Show how the installation is, on one screen. Exit 9 when something is wrong.

    Every number is asked of the thing itself: heartbeats, a new connection to the database, a write to Redis, each
    worker's queues. What could not be found out is `?`, never ✓. Nothing is changed.
    """
    from airfleet import status as flow
    from tasks import screen

    report = screen.Screen()
    with screen.piped():
        if json:
            report.say(flow.status_json(environment(env), only=only))
        else:
            flow.show_status(environment(env), only=only, every_s=every if watch else 0, screen=report)


@command(
    help={
        "env": ENV_HELP,
        "only": "look at these hosts alone, comma separated",
        "json": JSON_HELP,
        "list": "list what is looked at, and stop",
        "verbose": "show the evidence of latent findings too",
    }
)
def doctor(c, env="", only="", json=False, list=False, verbose=False):
    """
    Name the cause of what is wrong, with its evidence and the one command to type next. Exit 9 when there is one.

    Looks at hosts, stores, settings, units, heartbeats, workers and DAGs; what a cause explains stands under it as its
    effect, and what was looked at and is fine is named last. While somebody's command is under way, what that brings
    about by itself is told as held back, and is no cause. Changes nothing (a Redis key that lasts 5 s aside).
    """
    from airfleet import status as flow
    from tasks import screen

    report = screen.Screen()
    if list:
        from airfleet import examine

        report.say("\n".join(examine.checks()))
        return
    with screen.piped():
        flow.show_diagnosis(environment(env), only=only, as_json=json, verbose=verbose, screen=report)


@command(
    positional=["name"],
    help={
        "name": "the runbook, as `fab doctor` names it (`fab runbooks` lists them by what you see)",
        "env": ENV_HELP,
        "run": "do this step of it: confirm (only looks), fix, verify; inject and heal on sandboxes alone",
        "host": "the host that it is about, where the runbook says {host}",
        "dry_run": "with --run: print what would be done, and stop",
    },
)
def runbook(c, name, env="", run="", host="", dry_run=False):
    """
    Print a runbook, or do one of its steps.

    `fab runbook redis-down --run confirm` looks whether this is it (exit 9: it is not), `--run fix` does what helps,
    `--run verify` proves that it did.
    """
    from airfleet import runbooks
    from tasks import screen

    report = screen.Screen()
    if not run:
        report.say(runbooks.find(name).text)
    else:
        runbooks.run_step(environment(env), name, run, host=host, screen=report, dry_run=dry_run)


@command(help={})
def runbooks(c):
    """
    List the runbooks by what one sees: in the pager, on a page, in a log.
    """
    from airfleet import runbooks as books
    from tasks import screen

    screen.Screen().say(books.index().rstrip())
