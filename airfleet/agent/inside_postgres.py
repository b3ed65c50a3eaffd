"""Asks Airflow's metadata database: run by the environment's own Python, which has the driver. Airflow is not imported.

`words["question"]` names one of the functions here; `words["dsn"]` says where the database is.
"""

from __future__ import annotations

import functools
import os
import re
import socket
import sys
import time

import psycopg2

from airfleet.agent import certificates

CONNECT_S = 10
STATEMENT_MS = 10000
USERS = 200
HEARTBEAT_S = 30
TABLES = (
    *("dag", "dag_run", "task_instance", "xcom", "log", "job", "connection", "variable", "slot_pool", "serialized_dag"),
    *("import_error", "trigger", "ab_user", "ab_role", "ab_user_role", "ab_permission", "ab_permission_view_role"),
)
FAILURES = (
    (
        "password authentication failed",
        "the database refused the password of {user}",
        "put the right one into the secret database_password",
    ),
    ("no password supplied", "the database wants a password for {user}", "put it into the secret database_password"),
    ('database "', "there is no database {name}", "create it, owned by {user}: CREATE DATABASE"),
    ('role "', "the database has no role {user}", "create it: CREATE ROLE … LOGIN PASSWORD"),
    (
        "no pg_hba.conf entry",
        "the database does not let {user} in from this host",
        "allow it in pg_hba.conf, or the host's address in Cloud SQL; look at database.sslmode",
    ),
    *certificates.FAILURES,
    ("SSL", "the database and this host do not agree on TLS", "look at database.sslmode"),
    ("connection slots are reserved", "the database has no free connection", "raise max_connections or end some"),
    ("too many connections", "the database has no free connection for {user}", "raise the limit or end some"),
    ("starting up", "the database is starting", "wait for it"),
    ("could not translate host name", "the database's host name is unknown here", "look at database.host and at DNS"),
    ("Connection refused", "nothing listens there", "start the database, or look at database.host and database.port"),
    ("timeout", "no answer", "look at the network and the firewall between this host and the database"),
)


class Refusal(Exception):
    """The database cannot be asked: its argument is the words of a refusal."""


def inside(words, tell):
    """Answer one question."""
    questions = {"metadata": metadata, "user": user, "writes": writes, "heartbeat": heartbeat, "running": running}
    try:
        return questions[words["question"]](words)
    except Refusal as e:
        return {"refused": e.args[0]}


def connect(dsn):
    """Return a new connection as Airflow's own role."""
    with certificates.root(dsn) as root:
        try:
            connection = psycopg2.connect(
                host=dsn["host"],
                port=dsn["port"],
                dbname=dsn["name"],
                user=dsn["user"],
                password=dsn["password"],
                sslmode=dsn.get("sslmode") or "prefer",
                sslrootcert=root,
                connect_timeout=CONNECT_S,
                application_name="airfleet",
                options=f"-c statement_timeout={STATEMENT_MS}",
            )
        except psycopg2.OperationalError as e:
            raise Refusal(refusal(dsn, str(e), root)) from e
    connection.autocommit = True
    return connection


def refusal(dsn, text, root=None):
    """Return the words of a refusal for what the driver said; `root` is the authority's certificate."""
    place = f"{dsn['host']}:{dsn['port']}/{dsn['name']}"
    found = certificates.trouble(dsn, root) if root and certificates.UNTRUSTED in text else None
    if found:
        return {"what": f"{place}: {found[0]}", "kind": "database", "remedy": found[1], "tail": text.strip()}
    for sign, what, remedy in FAILURES:
        if sign in text:
            break
    else:
        what, remedy = "the database cannot be used", "read the lines below"
    what, remedy = what.format(**dsn), remedy.format(**dsn)
    return {"what": f"{place}: {what}", "kind": "database", "remedy": remedy, "tail": text.strip()}


def query(connection, text, *values):
    """Return the rows of a query."""
    with connection.cursor() as cursor:
        cursor.execute(text, values)
        return cursor.fetchall()


def metadata(words):
    """Return the revision there and the one wanted, the tables that are missing, and the users with their roles."""
    connection = connect(words["dsn"])
    answer = schema(connection)
    there = answer.pop("there")
    answer["users"], answer["all_users"] = {}, True
    if {"ab_user", "ab_role", "ab_user_role"} <= there:
        answer["users"] = _users(connection, "order by u.id limit %s", USERS)
        answer["all_users"] = len(answer["users"]) < USERS
    connection.close()
    return answer


def schema(connection):
    """Return {"airflow", "revision", "head", "known", "missing", "there"}: the schema against the installed Airflow."""
    head, folder, version = installed()
    there = {
        row[0]
        for row in query(connection, "select tablename from pg_tables where schemaname = any(current_schemas(false))")
    }
    found = query(connection, "select version_num from alembic_version") if "alembic_version" in there else []
    revision = found[0][0] if found else None
    answer = {"airflow": version, "revision": revision, "head": head, "known": revision == head}
    if revision and not answer["known"]:
        answer["known"] = revision in {
            revision_of(f"{folder}/{name}") for name in os.listdir(folder) if name.endswith(".py")
        }
    answer["missing"] = [name for name in TABLES if name not in there]
    answer["there"] = there
    return answer


def user(words):
    """Return one user with the roles, or None."""
    connection = connect(words["dsn"])
    return {"user": _users(connection, "where u.username = %s", words["username"]).get(words["username"])}


def _users(connection, which, value):
    rows = query(
        connection,
        "select u.username, u.active, u.login_count, array(select r.name from ab_role r join ab_user_role ur"
        f" on ur.role_id = r.id where ur.user_id = u.id order by r.name) from ab_user u {which}",
        value,
    )
    return {
        name: {"active": bool(active), "logins": logins or 0, "roles": roles} for name, active, logins, roles in rows
    }


def installed():
    """Return (newest revision, folder of all, version) of the installed Airflow, from the names of its files.

    The files are numbered in order, which Airflow's own checks see to. Importing Airflow would take seconds.
    """
    site = next((path for path in sys.path if os.path.isdir(f"{path}/airflow/migrations/versions")), None)
    if site is None:
        raise Refusal(
            {"what": "there is no Airflow in this environment", "kind": "missing", "remedy": "run: fab bootstrap"}
        )
    folder = f"{site}/airflow/migrations/versions"
    newest = max(name for name in os.listdir(folder) if re.match(r"\d{4}_\w+\.py$", name))
    versions = [re.match(r"apache_airflow(?:_core)?-(\d.*)\.dist-info$", name) for name in os.listdir(site)]
    version = next((found.group(1) for found in versions if found), "?")
    return revision_of(f"{folder}/{newest}"), folder, version


def revision_of(path):
    """Return the revision that a migration file makes."""
    with open(path, encoding="utf-8") as f:
        found = re.search(r"^revision\b[^=\n]*= *['\"](\w+)['\"]", f.read(), re.MULTILINE)
    return found.group(1) if found else None


def writes(words):
    """Tell whether Airflow's own role can read and write, in a table that lasts as long as the session; or why not."""
    deadline = time.monotonic() + words["timeout_s"]
    while True:
        try:
            connection = connect(words["dsn"])
            with connection.cursor() as cursor:
                cursor.execute("create temporary table airfleet_probe (n integer)")
                cursor.execute("insert into airfleet_probe values (41)")
                cursor.execute("update airfleet_probe set n = n + 1 returning n")
                answer = cursor.fetchone()
                cursor.execute("select count(*) from dag_run")
            connection.close()
            return {"ok": answer == (42,), "why": ""}
        except Refusal as e:
            why = f"{e.args[0]['what']} ({e.args[0]['remedy']})"
        except psycopg2.Error as e:
            why = str(e).strip().splitlines()[0]
        if time.monotonic() > deadline:
            return {"ok": False, "why": why}
        time.sleep(0.5)


def running(words):
    """Return {"tasks": {Celery's id: {…}}} for the tasks that Airflow knows by these ids: see `tasks_of`."""
    connection = connect(words["dsn"])
    return {"tasks": tasks_of(connection, words["ids"])}


def tasks_of(connection, ids):
    """Return {Celery's id: {"dag", "task", "run", "try", "elapsed_s", "retries_left", "usual_s"}}.

    `usual_s` is the median of its last successful runs, None when there is none. In 2.11.2 `try_number` is the try that
    runs, `max_tries` how many may fail before the last one.
    """
    rows = query(
        connection,
        "select t.external_executor_id, t.dag_id, t.task_id, t.run_id, t.map_index, t.try_number,"
        " extract(epoch from now() - t.start_date), greatest(t.max_tries - t.try_number + 1, 0), usual.s"
        " from task_instance t, lateral (select percentile_cont(0.5) within group (order by duration) s from"
        " (select duration from task_instance o where o.dag_id = t.dag_id and o.task_id = t.task_id"
        " and o.state = 'success' and o.duration is not null order by o.end_date desc limit 20) latest) usual"
        " where t.external_executor_id = any(%s) and t.state in ('queued', 'running')",
        list(ids),
    )
    return {
        celery_id: {
            "dag": dag,
            "task": task if index < 0 else f"{task}[{index}]",
            "run": run,
            "try": tried,
            "elapsed_s": None if elapsed is None else round(float(elapsed), 1),
            "retries_left": left,
            "usual_s": None if usual is None else round(float(usual), 1),
        }
        for celery_id, dag, task, run, index, tried, elapsed, left, usual in rows
    }


def heartbeat(words):
    """Wait for a fresh heartbeat of such a job on this host, started after words["since"] where that is given."""
    deadline = time.monotonic() + words["timeout_s"]
    connection, why = None, ""
    while True:
        try:
            connection = connection or connect(words["dsn"])
            ok, why = _beats(connection, words)
            if ok:
                return {"ok": True, "why": why}
        except Refusal as e:
            why = f"{e.args[0]['what']} ({e.args[0]['remedy']})"
        except psycopg2.OperationalError as e:
            connection, why = None, str(e).strip().splitlines()[0]
        except psycopg2.Error as e:
            why = str(e).strip().splitlines()[0]
        if time.monotonic() > deadline:
            return {"ok": False, "why": why}
        time.sleep(0.3)


def _beats(connection, words):
    rows = query(
        connection,
        "select hostname, state, extract(epoch from now() - latest_heartbeat), extract(epoch from start_date)"
        " from job where job_type = %s and latest_heartbeat is not null order by latest_heartbeat desc limit 50",
        words["job_type"],
    )
    here = [row for row in rows if _is_here(row[0])]
    if not here:
        others = ", ".join(sorted({row[0] for row in rows})) or "nowhere"
        return False, f"no {words['job_type']} has ever beaten on {socket.gethostname()}; seen: {others}"
    hostname, state, age, started = here[0]
    if state != "running":
        return False, f"the last {words['job_type']} on {hostname} is {state}"
    if words.get("since") and float(started) < words["since"] - 1:
        return False, f"the newest {words['job_type']} on {hostname} started before the restart"
    if float(age) > words.get("fresh_s", HEARTBEAT_S):
        return False, f"the last heartbeat on {hostname} is {float(age):.0f} s old"
    return True, f"heartbeat {max(0.0, float(age)):.1f} s ago on {hostname}"


@functools.lru_cache(maxsize=None)
def _is_here(name):
    """Tell whether a job's host name, or address, is this host: only one's own addresses can be bound."""
    if name in (socket.gethostname(), socket.getfqdn()):
        return True
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(name, 0, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as s:
            s.bind(address)
    except OSError:
        return False
    return True
