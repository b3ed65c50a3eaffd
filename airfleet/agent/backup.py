"""Makes a backup of the metadata database: pg_dump into the folder of this host, into a bucket, or to the operator.

The rows of each table and alembic's revisions are counted in the very snapshot that pg_dump dumps, so that what is
restored can be compared with them, row by row, however busy Airflow is meanwhile.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import re
import secrets
import subprocess
import threading
import time

from airfleet.agent import (
    backup_bucket,
    backup_folder,
    backup_sql,
    effective,
    files,
    inside,
    maintenance,
    postgres_client,
    run,
)

REVISIONS = "alembic_version"
WAIT_MS = 60000  # pg_dump waits so long for whoever has locked a table
SNAPSHOT = (
    "begin isolation level repeatable read, read only;\n"
    "set local statement_timeout = 0; set local idle_in_transaction_session_timeout = 0;\n"
)
NEVER_SMALLER = 16 * backup_folder.MIB
SCRYPT = {"n": 2**14, "r": 8, "p": 1, "dklen": 32}


def backup_create(words, part):
    """Make a backup named `name` and return its manifest; parts: {"say": text}, and {"data": text} without a folder.

    {"dsn", "account", "venv", "config", "fernet": [section, key], "current", "name", "environment", "who", "at"},
    "folder" (null: the operator takes the data), or "bucket" (see airfleet.agent.backup_bucket), "last" (bytes of the
    one before, 0 if there is none).
    """
    began = time.monotonic()
    keys = keys_of(words)
    with postgres_client.Client(words) as client, client.session() as session:
        session.ask(SNAPSHOT)
        seen = backup_sql.look(session)
        _refuse(words, seen)
        major = postgres_client.fitting(client.found, seen["major"])
        estimate = _estimate(words, seen)
        part({"say": f"PostgreSQL {seen['version']}, tables of {backup_folder.mib(seen['bytes'])}", "about": estimate})
        sink = _sink(words, estimate, part)
        try:
            with run.on_loss(sink.remove):
                snapshot = session.ask("select pg_export_snapshot();")[0]
                session.write(f"{backup_sql.counts(seen['schema'])}\\echo {postgres_client.MARK}\n".encode())
                _dump(client, major, snapshot, seen, sink, part)
                part({"say": "counting rows"})
                tables, revisions = backup_sql.counted(session.answer())
            manifest = {
                "format": 1,
                "name": words["name"],
                "environment": words["environment"],
                "at": words["at"],
                "who": words["who"],
                "size": sink.size,
                "sha256": sink.sha256,
                "airflow": airflow_of(words["venv"]),
                "postgres": seen["version"],
                "pg_dump": client.version(major),
                "database": client.place,
                "schema": seen["schema"],
                "revisions": revisions,
                "tables": tables,
                "fernet": marks(keys, secrets.token_hex(16)),
                "release": _release(words["current"]),
                "maintenance": maintenance.record(words),
                "seconds": round(time.monotonic() - began, 1),
                "verified": None,
            }
            sink.keep(manifest)
        except BaseException:
            sink.remove()
            raise
    return {"manifest": manifest}


def _refuse(words, seen):
    place, user = "{host}:{port}/{name}".format(**words["dsn"]), words["dsn"]["user"]
    if REVISIONS not in seen["tables"]:
        raise run.Refused(
            f"{place}: there is no Airflow in the schema {seen['schema']}", kind="missing", remedy="run: fab bootstrap"
        )
    if seen["unreadable"]:
        some = ", ".join(seen["unreadable"][:5])
        schema = postgres_client.name(seen["schema"])
        raise run.Refused(
            f"{place}: the role {user} may not read {some}, which stand in Airflow's schema",
            kind="refused",
            remedy=f"as their owner: GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {user}, and on its sequences;"
            " or move them into a schema of their own",
        )


def _estimate(words, seen):
    """Return about how many bytes it takes: as the one before and half of it more; pg_dump compresses to a third."""
    return max(NEVER_SMALLER, int(words["last"] * 1.5) if words["last"] else seen["bytes"] // 3)


def _sink(words, estimate, part):
    """Return what takes the dump: the operator, an object in a bucket, or a file."""
    if words.get("bucket"):
        return backup_bucket.Upload(words["bucket"], words["name"])
    return _Sent(part) if words["folder"] is None else _filed(words, estimate)


def _filed(words, estimate):
    """Return the file that the dump is written to."""
    folder, reserve = words["folder"], words.get("reserve", backup_folder.RESERVE)
    backup_folder.make_folder(folder)
    backup_folder.clear(folder)
    if os.path.exists(f"{folder}/{words['name']}.dump"):
        raise run.Refused(f"{folder} has a {words['name']} already", kind="refused", remedy="run it again")
    backup_folder.room(folder, estimate, reserve)
    return backup_folder.Part(f"{folder}/.{words['name']}{backup_folder.PART}", reserve)


class _Sent:
    """Sends the dump to the operator, who keeps it."""

    def __init__(self, part):
        self._part, self._digest, self.size = part, hashlib.sha256(), 0

    @property
    def sha256(self):
        """The checksum of what was sent."""
        return self._digest.hexdigest()

    def write(self, data):
        """Send more; an operator who is slow to write makes pg_dump wait."""
        self.size += len(data)
        self._digest.update(data)
        self._part({"data": base64.b64encode(data).decode("ascii")})

    def keep(self, manifest):
        """The operator does it."""

    def remove(self):
        """The operator does it."""


def _dump(client, major, snapshot, seen, sink, part):
    schema = postgres_client.name(seen["schema"])
    argv = ["--format=custom", "--verbose", "--no-password", f"--snapshot={snapshot}", f"--schema={schema}"]
    argv += [f"--dbname={postgres_client.LINK}", f"--lock-wait-timeout={WAIT_MS}"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    child = client.started(major, "pg_dump", *argv, **pipes)
    heard = _Heard(child.stderr)
    slowly = backup_folder.paced(lambda text: part({"say": text}))
    try:
        while data := os.read(child.stdout.fileno(), postgres_client.CHUNK):
            sink.write(data)
            slowly(f"{backup_folder.mib(sink.size)}{heard.where(len(seen['tables']))}")
        status = child.wait()
    finally:
        run.ended(child)
        heard.join()
        child.stdout.close()
    if status:
        what = f"ended with {status}" if status > 0 else f"was ended by signal {-status}"
        raise run.Refused(f"pg_dump {what}; nothing of this backup was kept", kind="database", tail=heard.tail)


class _Heard(threading.Thread):
    """Reads what pg_dump says: which table it is at, and what went wrong."""

    TABLE = re.compile(r'dumping contents of table "(?:[^".]+\.)?([^"]+)"')

    def __init__(self, pipe):
        super().__init__(daemon=True)
        self._pipe, self._done, self._table, self._wrong = pipe, 0, "", []
        self.start()

    def run(self):
        """Read to the end."""
        with self._pipe as lines:
            for line in lines:
                text = line.decode("utf-8", "replace").rstrip()
                found = self.TABLE.search(text)
                if found:
                    self._done, self._table = self._done + 1, found.group(1)
                elif "error:" in text or "warning:" in text or self._wrong:
                    self._wrong.append(text)

    def where(self, tables):
        """Return at which table it is."""
        return f", table {self._done} of {tables}: {self._table}" if self._table else ""

    @property
    def tail(self):
        """Return what went wrong."""
        return run.tail("\n".join(self._wrong))


def airflow_of(venv):
    """Return the version of the Airflow that is installed in an environment; None where there is none."""
    if not inside.there(venv):
        return None
    found = [re.match(r"apache_airflow-(\d.*)\.dist-info$", name) for name in os.listdir(inside.site_packages(venv))]
    return next((each.group(1) for each in found if each), None)


def keys_of(words):
    """Return the Fernet keys in use on this host, the newest first."""
    asked = {"settings": {"key": words["fernet"]}, "units": [], "config": words["config"]}
    text = effective.values(asked)[effective.DISK].get("key")
    if not text:
        raise run.Refused(
            f"{words['config']} has no Fernet key: it could not be told what the backup can be read with",
            kind="missing",
            remedy="run: fab bootstrap",
        )
    return [key for key in text.split(",") if key]


def marks(keys, salt):
    """Return what these keys are known by later. It helps nobody to guess one: each guess costs as much as here."""
    found = [hashlib.scrypt(key.encode(), salt=bytes.fromhex(salt), **SCRYPT).hex() for key in keys]
    return {"salt": salt, "keys": found}


def unknown_keys(fernet, keys):
    """Return how many of a backup's keys are not among these."""
    ours = marks(keys, fernet["salt"])["keys"]
    return sum(not any(hmac.compare_digest(mark, each) for each in ours) for mark in fernet["keys"])


def _release(path):
    """Return the commit of the DAGs in use; None where there is none."""
    link = files.look_link(path, {})[0]
    return os.path.basename(link["target"]) if link else None
