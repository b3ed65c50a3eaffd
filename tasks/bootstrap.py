"""Bringing every host to the inventory."""

from __future__ import annotations

from tasks.door import BATCH_HELP, DRY_RUN_HELP, ENV_HELP, MAX_FAILURES_HELP, ONLY_HELP, command, environment


@command(
    help={
        "env": ENV_HELP,
        "only": ONLY_HELP,
        "dry_run": DRY_RUN_HELP,
        "max_wait": "seconds that a worker which must be restarted may take to finish its tasks (default 3600)",
        "batch": BATCH_HELP,
        "max_failures": MAX_FAILURES_HELP,
    }
)
def bootstrap(c, env="", only="", dry_run=False, max_wait=3600, batch="1", max_failures=0):
    """
    Bring every host to the inventory: the first run installs, later runs mend what differs.

    Asks each host what it is in one round trip, prints what would change, and changes just that, stage by stage,
    looking again after each. Nothing is restarted that runs what it should, and no worker before its tasks are done.
    Safe to run at any time, and again. A host that is new gets the release that the others run, also with --only.
    """
    from airfleet.batches import batch_of
    from airfleet.bootstrap import bring_up
    from airfleet.wishes import BootstrapWish
    from tasks import screen

    wish = BootstrapWish(only, dry_run, max_wait, batch_of(batch), max_failures)
    bring_up(environment(env), wish, screen.Screen())


@command(help={"env": ENV_HELP, "only": ONLY_HELP})
def plan(c, env="", only=""):
    """
    Print what `fab bootstrap` would change, with diffs; change nothing. Exit 10 when something would change.
    """
    from airfleet.bootstrap import bring_up
    from airfleet.wishes import BootstrapWish
    from tasks import screen

    bring_up(environment(env), BootstrapWish(only, dry_run=True), screen.Screen())
