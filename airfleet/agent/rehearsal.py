"""Rehearses an upgrade on a copy of the metadata database: migrated, timed, and every DAG parsed by the new Airflow.

The copy is restored from a backup into a scratch database, which is dropped again. Nothing that runs is touched: the
new environment has a configuration of its own here, in a folder that is taken away.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time

from airfleet.agent import airflow_cli, backup_scratch, database, gate, inside, run

MIGRATE_S = 7200
PLACE = "/var/tmp"  # on a disk, not in memory, and reached by the account


def rehearse(words, tell):
    """Return {"migrate_s", "schema": its state after the migration, "gate": see airfleet.agent.gate}.

    {"dsn", "account", "path", "manifest"} of the backup; "new_venv", and "config", the text of an airflow.cfg for it,
    in which "token" stands for the name of the database; "migrate", what to type after `airflow`; "gate", the words of
    a gate without the database.
    """
    with backup_scratch.in_scratch(words, tell) as dsn, _home(words, dsn) as home:
        env = {**words["gate"]["env"], "AIRFLOW_HOME": home, "AIRFLOW_CONFIG": f"{home}/airflow.cfg"}
        env["PATH"] = f"{words['new_venv']}/bin:{run.PATH}"
        means = {"venv": words["new_venv"], "account": words["account"], "env": env}
        tell("migrating the copy")
        began = time.monotonic()
        airflow_cli.airflow(means, words["migrate"], timeout_s=MIGRATE_S, tell=tell)
        migrate_s = round(time.monotonic() - began, 1)
        asked = {"question": "metadata", "dsn": dsn}
        seen = inside.ask(words["new_venv"], database.PROGRAM, asked, account=words["account"])
        parsed = gate.gate({**words["gate"], "env": env, "dsn": dsn}, tell)
    return {"migrate_s": migrate_s, "schema": database.state_of(seen), "gate": parsed}


@contextlib.contextmanager
def _home(words, dsn):
    """Have a folder of the account's with the new configuration in it as long as the block lasts; yield its path."""
    account = run.account_of(words["account"])
    path = tempfile.mkdtemp(prefix="airfleet-rehearsal-", dir=PLACE)
    try:
        with run.on_loss(lambda: shutil.rmtree(path, ignore_errors=True)):
            text = words["config"].replace(words["token"], dsn["name"])
            fd = os.open(f"{path}/airflow.cfg", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(fd, "w") as f:
                os.fchown(f.fileno(), account.pw_uid, account.pw_gid)
                f.write(text)
            os.chown(path, account.pw_uid, account.pw_gid)
            yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
