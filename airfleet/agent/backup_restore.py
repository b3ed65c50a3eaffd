"""Puts a backup back: into a scratch database that is dropped again, or in the place of what is there.

All of it is one transaction: the schema is emptied, filled, compared with the manifest, and only then committed. Until
then nobody else sees any of it, and whatever goes wrong leaves the database as it was. `pg_restore --clean` alone drops
just what is in the backup, which fails where a newer Airflow has tied further tables to these; and a restore into a new
database that is then renamed wants rights that Airflow's role need not have, and loses those of others on the old one.
So pg_restore writes SQL, and psql gets it from us, between statements of ours.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import tempfile
import time

from airfleet.agent import backup, backup_folder, backup_sql, postgres_client, run

LOCK_MS = 30000
SCRATCH = "_airfleet_verify"
LONGEST_NAME = 63  # of a database
FORCE_SINCE = 13
HEAD = 64 * 1024
# Belongs to the schema's owner, or to whoever manages the server; what is restored needs none of it.
NOT_OURS = re.compile(r"^\d+; \d+ \d+ (DEFAULT ACL|SCHEMA|ACL - SCHEMA|COMMENT - SCHEMA|EXTENSION) ")
SETTING = re.compile(rb"SET (\w+) = .*;\n")


def backup_verify(words, tell):
    """Restore a backup into a scratch database and compare; return {"ok", "problem", "seconds", "tables", "rows"}.

    {"dsn", "account", "path", "manifest"}. What keeps it from being tried at all is raised, and says nothing of it.
    """
    began, manifest = time.monotonic(), words["manifest"]
    answer = {"ok": False, "problem": "", "tables": len(manifest["tables"]), "rows": sum(manifest["tables"].values())}
    try:
        fd = backup_folder.opened(words["path"], manifest, tell)
    except run.Refused as e:
        if e.kind != "damaged":
            raise
        return {**answer, "problem": e.what, "seconds": round(time.monotonic() - began, 1)}
    try:
        with postgres_client.Client(words) as client, client.session() as session:
            seen = backup_sql.look(session)
            major = client_for(client, seen, manifest)
            scratch = scratch_of(words["dsn"]["name"])
            make_scratch(session, seen, scratch)
            with run.on_loss(lambda: drop_scratch(client, seen, scratch)):
                try:
                    with client.session(scratch) as other:
                        other.ask(f"create schema if not exists {postgres_client.name(manifest['schema'])};\nbegin;")
                        answer["problem"] = _tried(client, major, other, fd, manifest, tell)
                except run.Refused as e:
                    raise not_let_in(e, words["dsn"]["user"], scratch) from e
                finally:
                    drop_scratch(client, seen, scratch)
    finally:
        os.close(fd)
    return {**answer, "ok": not answer["problem"], "seconds": round(time.monotonic() - began, 1)}


def backup_ready(words, tell):
    """See that nothing speaks against a restore of this backup, before anything is stopped for it.

    Return {"airflow": the installed one, "extra": [tables that are there and not in the backup]}.
    """
    manifest = words["manifest"]
    if missing := backup.unknown_keys(manifest["fernet"], backup.keys_of(words)):
        raise run.Refused(
            f"{missing} of the {len(manifest['fernet']['keys'])} Fernet keys that Airflow had when the backup was made"
            " is not in use now: connections and variables in it could not be decrypted",
            kind="refused",
            remedy="write the key of then into the secret fernet_key, behind the one of now and a comma, then: fab"
            " bootstrap; or take a backup that was made under the key of now",
        )
    with postgres_client.Client(words) as client, client.session() as session:
        seen = backup_sql.look(session)
        client_for(client, seen, manifest)
        _refuse(client, seen, manifest)
    os.close(backup_folder.opened(words["path"], manifest, tell))
    extra = sorted(set(seen["tables"]) - set(manifest["tables"]))
    return {"airflow": backup.airflow_of(words["venv"]), "extra": extra}


def backup_restore(words, tell):
    """Put a backup in the place of what is in Airflow's schema; return {"seconds", "tables", "rows", "others"}.

    `others` are those who were connected to the database, too.
    """
    began, manifest = time.monotonic(), words["manifest"]
    fd = backup_folder.opened(words["path"], manifest, tell)
    try:
        with postgres_client.Client(words) as client, client.session() as session:
            seen = backup_sql.look(session)
            major = client_for(client, seen, manifest)
            _refuse(client, seen, manifest)
            others = session.values(backup_sql.OTHERS)
            tell("emptying the schema")
            _emptied(client, session, seen, words.get("lock_ms", LOCK_MS))
            problem = filled(client, major, session, fd, manifest, tell)
            if problem:
                raise run.Refused(f"what was restored is not what was backed up: {problem}", kind="refused")
            tell("committing")
            _commit(session)
            tell("analyze: the planner's statistics are not in a backup")
            with contextlib.suppress(run.Refused):  # PostgreSQL does it by itself, a little later
                session.ask("set lock_timeout = 5000;\nanalyze;")
    finally:
        os.close(fd)
    tables = manifest["tables"]
    done = {"tables": len(tables), "rows": sum(tables.values()), "others": others}
    return {**done, "seconds": round(time.monotonic() - began, 1)}


def client_for(client, seen, manifest):
    """Return the major version of the programs that can restore this backup here."""
    return postgres_client.fitting(client.found, seen["major"], int(manifest["pg_dump"].split(".")[0]))


def _refuse(client, seen, manifest):
    user, schema = client.dsn["user"], postgres_client.name(seen["schema"])
    if seen["schema"] != manifest["schema"]:
        raise run.Refused(
            f"{client.place}: {user} works in {seen['schema']}, the backup is of the schema {manifest['schema']}",
            kind="refused",
            remedy=f"ALTER ROLE {user} SET search_path TO {postgres_client.name(manifest['schema'])}",
        )
    if seen["foreign"]:
        some = ", ".join(f"{table} (of {owner})" for table, owner in sorted(seen["foreign"].items())[:5])
        raise run.Refused(
            f"{client.place}: in Airflow's schema there is what the role {user} does not own: {some}",
            kind="refused",
            remedy=f"as an administrator: ALTER TABLE {schema}.NAME OWNER TO {user}; or SET SCHEMA to one of its own",
        )


def _emptied(client, session, seen, lock_ms):
    """Begin the transaction and drop all that is in the schema; who is in the way is named."""
    before = "begin; set local statement_timeout = 0; set local idle_in_transaction_session_timeout = 0;"
    try:
        session.ask(f"{before}\nset local lock_timeout = {lock_ms};\n{backup_sql.empty(seen['schema'])}")
    except run.Refused as e:
        if "lock timeout" not in e.what:
            raise
        with client.session() as other:
            found = other.values(backup_sql.OTHERS)
        who = "; ".join("{user} from {from}, pid {pid}, {state}: {what}".format(**each) for each in found)
        raise run.Refused(
            f"{client.place}: somebody uses Airflow's tables: {who or 'gone by now'}",
            kind="refused",
            remedy="end that, then run it again",
        ) from e


def _commit(session):
    try:
        session.ask("commit;")
    except run.Refused as e:
        raise run.Refused(f"it is not known whether the restore was committed: {e.what}", kind="doubt") from e


def _tried(client, major, session, fd, manifest, tell):
    """Return why a backup can't be restored, or ""."""
    try:
        return filled(client, major, session, fd, manifest, tell)
    except run.Refused as e:
        return f"{e.what}\n{e.tail}".strip()


def filled(client, major, session, fd, manifest, tell):
    """Fill the empty schema of a session in a transaction; return how it differs from the manifest, or ""."""
    _load(client, major, session, fd, manifest, tell)
    tell("counting rows")
    tables, revisions = backup_sql.counted(session.ask(backup_sql.counts(manifest["schema"])))
    if revisions != manifest["revisions"]:
        return f"its revisions are {revisions}, not {manifest['revisions']}"
    names = sorted({*tables, *manifest["tables"]})
    differing = [name for name in names if tables.get(name) != manifest["tables"].get(name)]
    some = ", ".join(f"{each}: {tables.get(each)}, not {manifest['tables'].get(each)}" for each in differing[:5])
    return f"rows of {some}" if differing else ""


def _load(client, major, session, fd, manifest, tell):
    """Have pg_restore write SQL and psql read it; raise what either says. The transaction stays open."""
    settings = {line.encode() for line in session.ask("select name from pg_settings;")}
    slowly = backup_folder.paced(tell)
    contents = _contents(client, major, fd)
    with postgres_client.without_a_name(contents, client.account) as listed, tempfile.TemporaryFile() as said:
        os.lseek(fd, 0, os.SEEK_SET)
        argv = ["--file=-", "--no-owner", f"--schema={manifest['schema']}", f"--use-list=/proc/self/fd/{listed}"]
        pipes = {"stdin": fd, "stdout": subprocess.PIPE, "stderr": said}
        child = client.started(major, "pg_restore", *argv, fds=(listed,), **pipes)
        try:
            session.write(_understood(_first(child.stdout), settings))
            while data := os.read(child.stdout.fileno(), postgres_client.CHUNK):
                session.write(data)
                slowly(f"restored {backup_folder.mib(os.lseek(fd, 0, os.SEEK_CUR))} of {_size(manifest)}")
            status = child.wait()
        finally:
            run.ended(child)
            child.stdout.close()
        said.seek(0)
        if status:
            text = said.read().decode("utf-8", "replace")
            raise run.Refused(f"pg_restore ended with {status}", kind="damaged", tail=run.tail(text))
    session.ask("")  # until psql has done all of it


def _size(manifest):
    return backup_folder.mib(manifest["size"])


def _understood(head, settings):
    """Return the SQL without those of its first settings that the server does not know.

    A newer pg_restore sets what an older server has not (17: transaction_timeout).
    """
    lines = head.splitlines(keepends=True)
    for at, line in enumerate(lines):
        found = SETTING.fullmatch(line)
        if found and found.group(1).lower() not in settings:
            lines[at] = b""
        elif not found and line.strip() and not line.startswith((b"--", b"\\", b"SELECT pg_catalog.set_config(")):
            break
    return b"".join(lines)


def _first(pipe):
    """Return the beginning of what pg_restore writes."""
    head = b""
    while len(head) < HEAD and (data := os.read(pipe.fileno(), HEAD)):
        head += data
    return head


def _contents(client, major, fd):
    """Return the list of what is in an archive, without what is not ours to restore."""
    os.lseek(fd, 0, os.SEEK_SET)
    pipes = {"stdin": fd, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    child = client.started(major, "pg_restore", "--list", **pipes)
    try:
        with child.stdout as f:
            text = f.read().decode("utf-8", "replace")
        status = child.wait()
    finally:
        run.ended(child)
    if status:
        raise run.Refused("pg_restore can't read the backup", kind="damaged", tail=run.tail(text))
    return "".join(line for line in text.splitlines(keepends=True) if not NOT_OURS.match(line)).encode()


def scratch_of(database):
    """Return the name of the scratch database: always the same, so that the next one clears what a crash left."""
    return database[: LONGEST_NAME - len(SCRATCH)] + SCRATCH


def make_scratch(session, seen, scratch):
    """Make the scratch database, in the place of one that a crash left."""
    if not seen["create_db"]:
        user = session.client.dsn["user"]
        raise run.Refused(
            f"{session.client.place}: the role {user} may not create a database to try the backup in",
            kind="refused",
            remedy=f"as an administrator: ALTER ROLE {postgres_client.name(user)} CREATEDB",
        )
    database, locale = postgres_client.name(scratch), postgres_client.literal
    session.ask(
        f"{_dropping(seen, scratch)}\ncreate database {database} template template0"
        f" encoding {locale(seen['encoding'])} lc_collate {locale(seen['collate'])} lc_ctype {locale(seen['ctype'])};"
    )


def drop_scratch(client, seen, scratch):
    """Drop the scratch database, by a connection of its own: the other may be broken."""
    with client.session() as session:
        session.ask(_dropping(seen, scratch))


def _dropping(seen, scratch):
    """Return the statement that drops it, and ends who was killed in it and has not noticed."""
    force = " with (force)" if seen["major"] >= FORCE_SINCE else ""
    return f"drop database if exists {postgres_client.name(scratch)}{force};"


def not_let_in(error, user, scratch):
    """Return the error with what to grant, where the server lets Airflow's role into its own database alone."""
    if "no pg_hba.conf entry" not in error.tail:
        return error
    return run.Refused(
        f"the server does not let {user} into the scratch database {scratch}",
        kind="refused",
        remedy=f"a line in pg_hba.conf for the database {scratch}, beside the one that is there",
        tail=error.tail,
    )
