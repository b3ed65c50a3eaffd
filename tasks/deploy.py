"""Bringing new DAG code to every host, and the old one back."""

from __future__ import annotations

from tasks.door import BATCH_HELP, DRY_RUN_HELP, ENV_HELP, MAX_FAILURES_HELP, command, environment

RESTART_HELP = (
    "which services to restart: always (all that read the code; default), changed (only those whose plugins, packages"
    " or configuration changed: DAG files are read anew without a restart), never"
)
MAX_WAIT_HELP = "seconds to wait for a worker's running tasks before giving up (default 3600); none is killed"
LOCK_WAIT_HELP = "seconds to wait while somebody else is at work (default 0: stop at once with exit 6)"


@command(
    help={
        "env": ENV_HELP,
        "ref": "branch, tag or commit (default: dags.branch of the inventory)",
        "restart": RESTART_HELP,
        "max_wait": MAX_WAIT_HELP,
        "lock_wait": LOCK_WAIT_HELP,
        "batch": BATCH_HELP,
        "max_failures": MAX_FAILURES_HELP,
        "accept": "go on in spite of this finding of the gate, by its name; may be repeated or comma separated",
        "dry_run": DRY_RUN_HELP,
    },
    iterable=["accept"],
)
def deploy(
    c,
    env="",
    ref="",
    restart="always",
    max_wait=3600,
    lock_wait=0,
    accept=None,
    dry_run=False,
    batch="1",
    max_failures=0,
):
    """
    Bring new DAG code to every host: prepare it everywhere, check it, switch, restart without losing a task.

    Nothing that runs is touched before the new DAGs were parsed on the scheduler's host: import errors, duplicate or
    vanished DAGs and queues that nobody serves stop it there (exit 8). The first restarted services are the canary: if
    they are not well, every host is put back on the release that ran before (exit 7). Ctrl-C is safe: run it again.
    """
    from airfleet.batches import batch_of
    from airfleet.deploy import deploy as bring
    from airfleet.findings import accepted_names
    from airfleet.wishes import DeployWish
    from tasks import screen

    accepted = accepted_names(accept or ())
    wish = DeployWish(ref, restart, max_wait, lock_wait, accepted, dry_run, batch_of(batch), max_failures)
    bring(environment(env), wish, screen.Screen())


@command(
    help={
        "env": ENV_HELP,
        "to": "release to go back to, by its commit (default: the one that ran before; see `fab releases`)",
        "restart": RESTART_HELP,
        "max_wait": MAX_WAIT_HELP,
        "lock_wait": LOCK_WAIT_HELP,
        "dry_run": DRY_RUN_HELP,
        "batch": BATCH_HELP,
        "max_failures": MAX_FAILURES_HELP,
    }
)
def rollback(c, env="", to="", restart="always", max_wait=3600, lock_wait=0, dry_run=False, batch="1", max_failures=0):
    """
    Bring every host back to the release that ran before, or to one that is named. The git server is not needed.

    It brings back DAG code and packages. It never undoes a migration of the database. Exit 8 when there is nothing to
    go back to.
    """
    from airfleet import deploy as flow
    from airfleet.batches import batch_of
    from airfleet.wishes import DeployWish
    from tasks import screen

    wish = DeployWish(
        "", restart, max_wait, lock_wait, dry_run=dry_run, batch=batch_of(batch), max_failures=max_failures
    )
    flow.rollback(environment(env), to, wish, screen.Screen())


@command(help={"env": ENV_HELP, "json": "print JSON"})
def releases(c, env="", json=False):
    """
    Tell which releases are on the hosts, since when, and which one is in use.
    """
    from airfleet import reading
    from tasks import screen

    found = reading.releases(environment(env))
    if json:
        screen.json(found)
        return
    for each in found:
        where = f"in use on {', '.join(each['current'])}" if each["current"] else f"on {', '.join(each['hosts'])}"
        screen.line(f"{each['commit'][:12]}  {each['made_at']}  {where}  {each['subject']}")


@command(
    help={
        "env": ENV_HELP,
        "json": "print JSON",
        "limit": "the newest ones alone (default 20)",
        "verify": "see whether a line was changed, removed or reordered on any host since it was written",
    }
)
def history(c, env="", json=False, limit=20, verify=False):
    """
    Tell who did what to this installation, from where, when, and what became of it on each host.

    Every host keeps it, in a chain: each line has the digest of the one before it. With --verify the chains are looked
    at and the hosts compared, also with their copies in the bucket, where the inventory has one; exit 9 names the lines
    that somebody has changed, removed or put elsewhere.
    """
    from airfleet import reading
    from airfleet.history import line_of
    from tasks import screen

    if verify:
        checked = reading.verified(environment(env))
        if json:
            screen.json(checked)
        else:
            for name, host in checked["hosts"].items():
                away = checked["missed"].get(name)
                note = f"; {away} of the others' are not there (it was away, or they were removed)" if away else ""
                copy = host.get("bucket", {})
                copied = f", {copy['there']} in {copy['place']}" if "there" in copy else ""
                print(f"{name}: {host['lines']} lines, {host['chained']} in the chain{copied}{note}")
        reading.refuse_broken(checked)
        return
    found = reading.entries(environment(env), limit)
    if json:
        screen.json(found)
        return
    for entry in found:
        screen.line(line_of(entry))
    if not found:
        print("nothing has been noted down yet")
