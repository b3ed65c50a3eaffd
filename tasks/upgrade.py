"""Another version of Airflow, and the way back."""

from __future__ import annotations

from tasks.door import ENV_HELP, command, environment

ACCEPT_HELP = "go on in spite of this finding of the rehearsal, by its name; may be repeated or comma separated"
MAX_WAIT_HELP = "seconds to wait for running tasks before giving up (default 3600); none is killed"


@command(
    help={
        "env": ENV_HELP,
        "to": "version of Airflow to go to",
        "rehearse": "only rehearse: production is not touched; ends with go, or with what speaks against it (exit 8)",
        "restore_on_failure": "where it fails after the migration: put the backup and the old Airflow back at once",
        "accept": ACCEPT_HELP,
        "max_wait": MAX_WAIT_HELP,
    },
    iterable=["accept"],
)
def upgrade(c, to="", env="", rehearse=False, restore_on_failure=False, accept=None, max_wait=3600):
    """
    Bring the installation to a newer Airflow, also from 2.11 to 3.3: rehearsed, backed up, and with a way back.

    The rehearsal comes first, always: the new Airflow is installed beside the old, its settings are linted, a copy of
    the database is migrated and timed, every DAG is parsed by it. Then the DAGs are paused, running tasks end, all
    stops; a backup; the new Airflow is switched to, the database migrated, all is started and asked; the DAGs are
    unpaused. What fails before the migration goes back by itself. After it only the backup does: `fab undo-upgrade`.
    """
    from airfleet.errors import UsageError
    from airfleet.findings import accepted_names
    from airfleet.upgrade import Wish
    from airfleet.upgrade import upgrade as go
    from tasks import screen

    if not to:
        raise UsageError("to which version?", place="--to", remedy="fab upgrade --to 3.3.2 --rehearse")
    wish = Wish(to, rehearse, restore_on_failure, accepted_names(accept or ()), max_wait)
    go(environment(env), wish, screen.Screen())


@command(
    help={"name": "the backup that the upgrade has made (may be given without --name)", "env": ENV_HELP},
    positional=["name"],
)
def undo_upgrade(c, name, env=""):
    """
    Go back to the Airflow and the database of a backup; what was done since the backup is lost.

    All services are stopped, the backup is put back, the Airflow of then is switched to and started, paused DAGs are
    unpaused. The backup's name was printed by `fab upgrade`; `fab backup.list` shows it too.
    """
    from airfleet.upgrade_undo import undo
    from tasks import screen

    undo(environment(env), name, screen.Screen())
