"""Backups of the metadata database: made, listed, tried, put back."""

from __future__ import annotations

from tasks.door import ENV_HELP, command, environment

CLEAR = "; fab backup.clear removes it"
NAME_HELP = "the backup's name, as `fab backup.list` shows it, or latest (may be given without --name)"
LOCAL_HELP = "a folder of this computer instead of the host's (backup.folder in the inventory)"
PLACE_HELP = "gs://BUCKET/FOLDER, or host for its folder, instead of where the inventory says (backup.place)"
LOCK_WAIT_HELP = "seconds to wait while somebody else is at work (default 0: stop at once with exit 6)"


@command(help={"env": ENV_HELP, "local": LOCAL_HELP, "place": PLACE_HELP, "lock_wait": LOCK_WAIT_HELP})
def create(c, env="", local="", place="", lock_wait=0):
    """
    Make a backup of the metadata database with pg_dump, while Airflow runs; then remove those that are not kept.

    It is written on the first scheduler's host, for root alone; with backup.place: gs://… it is streamed from there
    into a bucket, with --local it comes here as it is made. Beside it stands a manifest: checksum, versions, rows of
    each table. Connections and variables in it are encrypted: the Fernet key (secrets file) is no part of it. No deploy
    and no bootstrap can begin meanwhile. For every night: --lock-wait.
    """
    from airfleet import backups
    from tasks import screen

    backups.create(environment(env), backups.Where(local, lock_wait, place), screen.Screen())


@command(help={"env": ENV_HELP, "local": LOCAL_HELP, "place": PLACE_HELP, "json": "print JSON"}, name="list")
def list_backups(c, env="", local="", place="", json=False):
    """
    Tell which backups there are, the newest first: age, size, versions, and whether a restore was tried.
    """
    from datetime import UTC, datetime

    from airfleet import backups, manifest
    from tasks import screen

    found = backups.look(environment(env), backups.Where(local, place=place), screen.Screen())
    if json:
        screen.json([manifest.as_json(each) for each in found.there])
        return
    rows = [manifest.row(each, datetime.now(UTC)) for each in found.there]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        screen.line("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())
    if not rows:
        print(f"there is no backup in {found.store.where}: fab backup.create")
    cut = [f"{name}.dump" for name in found.halves]
    for name in found.strays:
        screen.line(f"{name} has no manifest: it is none of ours, or was cut short" + (CLEAR if name in cut else ""))


@command(help={"env": ENV_HELP, "local": LOCAL_HELP, "place": PLACE_HELP, "lock_wait": LOCK_WAIT_HELP})
def clear(c, env="", local="", place="", lock_wait=0):
    """
    Remove what is left of backups that were cut short: this environment's dumps that have no manifest.
    """
    from airfleet import backups
    from tasks import screen

    backups.clear(environment(env), backups.Where(local, lock_wait, place), screen.Screen())


@command(
    help={"name": NAME_HELP, "env": ENV_HELP, "local": LOCAL_HELP, "place": PLACE_HELP, "lock_wait": LOCK_WAIT_HELP},
    positional=["name"],
)
def verify(c, name, env="", local="", place="", lock_wait=0):
    """
    Try a backup: restore it into a scratch database on the same server, compare every table's rows, drop that again.

    Airflow's own database is not touched. Its role must be allowed to create a database (CREATEDB). The result is
    written into the manifest; exit 9 when the backup can't be restored.
    """
    from airfleet import backups
    from tasks import screen

    backups.verify(environment(env), name, backups.Where(local, lock_wait, place), screen.Screen())


@command(
    help={
        "name": NAME_HELP,
        "env": ENV_HELP,
        "local": LOCAL_HELP,
        "place": PLACE_HELP,
        "yes": "do not ask for a confirmation",
        "stop": "stop what runs of Airflow first, in order, workers after their tasks; start it again afterwards",
        "allow_running": "restore under running services; they may fail until they are restarted",
        "max_wait": "with --stop: seconds to wait for a worker's running tasks before giving up (default 3600)",
        "lock_wait": LOCK_WAIT_HELP,
    },
    positional=["name"],
)
def restore(
    c, name, env="", local="", place="", yes=False, stop=False, allow_running=False, max_wait=3600, lock_wait=0
):
    """
    Put a backup in the place of all that is in Airflow's database schema, in one transaction: all of it or nothing.

    Refused (exit 8) while Airflow runs, unless told what to do about that; for a damaged file; for a backup of another
    Airflow than the inventory's; and under another Fernet key, since its connections and variables could not be read.
    Rows and revisions are compared before the commit: whatever goes wrong leaves the database as it was.
    """
    from airfleet import backups
    from airfleet import restore as flow
    from tasks import screen

    plan = flow.Plan(yes, stop, allow_running, max_wait, backups.Where(local, lock_wait, place))
    flow.restore(environment(env), name, plan, screen.Screen())
