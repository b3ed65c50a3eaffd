"""What Airflow's metadata database tells of the installation: run by the environment's own Python, without Airflow.

Each connection is a new one, made as Airflow's own role. `tables` holds what differs between generations of Airflow.
"""

from __future__ import annotations

import contextlib

import psycopg2

from airfleet.agent import inside_postgres

ROWS = 20
SAMPLE = 30
OVERTAKEN_S = 30
REASONS = (
    ("password authentication failed", "password"),
    ("no password supplied", "password"),
    ("no pg_hba.conf entry", "not-let-in"),
    ("connection slots are reserved", "slots"),
    ("too many clients", "slots"),
    ("too many connections for role", "slots"),
    ("does not exist", "missing"),
    ("starting up", "starting"),
    ("Connection refused", "refused"),
    ("timeout", "silent"),
    ("could not translate", "name"),
)


def inside(words, tell):
    """Return {"database": {where: {"ok", "reason", "says"}}, "airflow": {…} or None}."""
    tried, said, connection = {}, {}, None
    for where, dsn in words["dsns"].items():
        key = repr(sorted(dsn.items(), key=str))
        if key not in tried:
            tried[key], mine = _try(dsn)
            if mine is not None and connection is None:
                connection = mine
            elif mine is not None:
                mine.close()
        said[where] = tried[key]
    if connection is None:
        return {"database": said, "airflow": None}
    with contextlib.closing(connection):
        return {"database": said, "airflow": _facts(connection, words)}


def _try(dsn):
    place = f"{dsn['host']}:{dsn['port']}/{dsn['name']}"
    try:
        connection = inside_postgres.connect(dsn)
    except inside_postgres.Refusal as e:
        refused = e.args[0]
        text = refused.get("tail", "")
        reason = next((ours for sign, ours in REASONS if sign in text), "other")
        return {"ok": False, "reason": reason, "says": refused["what"], "place": place}, None
    return {"ok": True, "reason": "", "says": f"database {place} lets {dsn['user']} in", "place": place}, connection


def _facts(connection, words):
    questions = QUICK if not words["whole"] else {**QUICK, **WHOLE}
    questions = {**questions, **DEEP} if words["deep"] else questions
    found = {}
    with connection.cursor() as cursor:
        cursor.execute("set lock_timeout = '1s'; set statement_timeout = '4s'")
    for name, question in questions.items():
        try:
            found[name] = question(connection, words)
        except psycopg2.Error as e:
            connection.rollback()
            found[name] = None
            found.setdefault("unknown", {})[name] = str(e).strip().splitlines()[0]
    return found


def _rows(connection, names, text, *values):
    return [dict(zip(names, row)) for row in inside_postgres.query(connection, text, *values)]


def clock(connection, words):
    """Return the database's clock, in seconds since the epoch."""
    return float(inside_postgres.query(connection, "select extract(epoch from clock_timestamp())")[0][0])


def tasks(connection, words):
    """Return {state: count} of unfinished tasks, and how old the oldest queued one is."""
    rows = inside_postgres.query(
        connection,
        "select state, count(*) from task_instance where state in"
        " ('queued', 'running', 'scheduled', 'deferred', 'up_for_retry', 'restarting') group by 1",
    )
    failed = inside_postgres.query(
        connection,
        "select count(*) from task_instance where state = 'failed' and end_date > now() - interval '1 hour'",
    )
    return {**dict(rows), "failed_last_hour": failed[0][0]}


def queued(connection, words):
    """Return [{"queue", "count", "oldest_s", "overtaken"}] of the tasks that wait in the broker.

    A queue is served in its order: a task is overtaken if one that was queued a good while after it runs already.
    """
    return _rows(
        connection,
        ("queue", "count", "oldest_s", "overtaken"),
        "select q.queue, count(*), extract(epoch from now() - min(q.queued_dttm))::float8,"
        f" count(*) filter (where q.queued_dttm < r.newest - interval '{OVERTAKEN_S} seconds')"
        " from task_instance q left join (select queue, max(queued_dttm) as newest from task_instance"
        " where state = 'running' group by 1) r on r.queue = q.queue"
        " where q.state = 'queued' group by 1 order by 1",
    )


def jobs(connection, words):
    """Return [{"type", "host", "state", "age_s"}]: the newest job of each type on each host."""
    return _rows(
        connection,
        ("type", "host", "state", "age_s"),
        "select distinct on (job_type, hostname) job_type, hostname, state,"
        " extract(epoch from now() - latest_heartbeat)::float8 from job"
        " where job_type in ('SchedulerJob', 'TriggererJob', 'DagProcessorJob') and latest_heartbeat is not null"
        " order by job_type, hostname, latest_heartbeat desc",
    )


def dags(connection, words):
    """Return how many DAGs there are, how many are broken, and how long ago the last one was parsed."""
    active = words["tables"]["active_dag"]
    found = _rows(
        connection,
        ("active", "paused", "broken", "parsed_s"),
        "select count(*), count(*) filter (where is_paused), count(*) filter (where has_import_errors),"
        f" extract(epoch from now() - max(last_parsed_time))::float8 from dag where {active}",
    )[0]
    found["oldest_parsed_s"] = inside_postgres.query(
        connection,
        f"select extract(epoch from now() - min(last_parsed_time))::float8 from dag where {active}",
    )[0][0]
    return found


def import_errors(connection, words):
    """Return [{"file", "error", "late", "age_s"}] of the DAG files that can't be imported, or take too long."""
    return _rows(
        connection,
        ("file", "error", "late", "age_s"),
        "select filename, right(stacktrace, 300), stacktrace ~ 'import timeout|timed out',"
        " extract(epoch from now() - timestamp)::float8 from import_error order by timestamp desc limit %s",
        ROWS,
    )


def connections(connection, words):
    """Return how many connections there are, of how many there may be, and who has most of them."""
    limits = inside_postgres.query(
        connection,
        "select current_setting('max_connections')::int, current_setting('superuser_reserved_connections')::int,"
        " (select rolconnlimit from pg_roles where rolname = current_user),"
        " (select count(*) from pg_stat_activity where backend_type = 'client backend'),"
        " (select count(*) from pg_stat_activity where usename = current_user)",
    )[0]
    names = ("most", "reserved", "role_limit", "count", "own")
    eaters = _rows(
        connection,
        ("user", "from", "application", "count"),
        "select usename, host(client_addr), application_name, count(*) from pg_stat_activity"
        " where backend_type = 'client backend' group by 1, 2, 3 order by 4 desc limit 5",
    )
    return {**dict(zip(names, limits)), "eaters": eaters}


def blockers(connection, words):
    """Return [{"pid", "user", "application", "state", "since_s", "query", "waiting"}] of those who hold others up."""
    return _rows(
        connection,
        ("pid", "user", "application", "state", "since_s", "query", "waiting"),
        "with waiting as (select pid, unnest(pg_blocking_pids(pid)) as by from pg_stat_activity"
        " where cardinality(pg_blocking_pids(pid)) > 0 and xact_start < now() - interval '5 seconds')"
        " select a.pid, a.usename, a.application_name, a.state, extract(epoch from now() - a.xact_start)::float8,"
        " left(a.query, 60), count(*) from waiting w join pg_stat_activity a on a.pid = w.by"
        " where w.by not in (select pid from waiting) group by 1, 2, 3, 4, 5, 6 order by 7 desc limit %s",
        ROWS,
    )


def revision(connection, words):
    """Return the revision of the database, the newest of the installed Airflow, and whether that knows this one."""
    found = inside_postgres.schema(connection)
    return {name: found[name] for name in ("revision", "head", "known", "airflow", "missing")}


def lost(connection, words):
    """Return [{"dag", "task", "run", "host", "silent_s"}] of running tasks that nobody hears of any more."""
    return _rows(
        connection,
        ("dag", "task", "run", "host", "pid", "silent_s"),
        f"select t.dag_id, t.task_id, t.run_id, t.hostname, t.pid, {words['tables']['silent']}::float8"
        f" from task_instance t {words['tables']['silent_join']} where t.state = 'running'"
        f" and {words['tables']['silent']} > 60 order by 6 desc limit %s",
        ROWS,
    )


def pools(connection, words):
    """Return [{"pool", "slots", "taken", "scheduled"}]: a full pool is no fault, but it explains what waits."""
    return _rows(
        connection,
        ("pool", "slots", "taken", "scheduled"),
        "select p.pool, p.slots,"
        " coalesce(sum(t.pool_slots) filter (where t.state in ('running', 'queued')), 0)::int,"
        " count(*) filter (where t.state = 'scheduled') from slot_pool p left join task_instance t on t.pool = p.pool"
        " and t.state in ('running', 'queued', 'scheduled') group by 1, 2 order by 1",
    )


def hosts_of_tasks(connection, words):
    """Return the host names that running tasks and those of the last hour were on: the web pages ask them for logs."""
    rows = inside_postgres.query(
        connection,
        "select distinct hostname from task_instance where hostname <> ''"
        " and (state = 'running' or end_date > now() - interval '1 hour') limit 50",
    )
    return [row[0] for row in rows]


def undecryptable(connection, words):
    """Return {where: {"encrypted", "undecryptable"}}: can this host's keys read what Airflow stored?"""
    from cryptography.fernet import Fernet, InvalidToken, MultiFernet

    stored = [
        value
        for table, column in (("connection", "password"), ("connection", "extra"), ("variable", "val"))
        for (value,) in inside_postgres.query(
            connection,
            f"select {column} from {table} where {'is_extra_encrypted' if column == 'extra' else 'is_encrypted'}"
            f" and {column} is not null and {column} <> '' limit {SAMPLE}",
        )
    ]
    found = {}
    for where, keys in words["keys"].items():
        try:
            fernet = MultiFernet([Fernet(key.strip()) for key in keys.split(",") if key.strip()])
        except ValueError:
            found[where] = {"encrypted": len(stored), "undecryptable": len(stored), "bad_key": True}
            continue
        bad = 0
        for value in stored:
            try:
                fernet.decrypt(value.encode())
            except InvalidToken:
                bad += 1
        found[where] = {"encrypted": len(stored), "undecryptable": bad, "bad_key": False}
    return found


QUICK = {"clock": clock}
WHOLE = {
    "blockers": blockers,  # first: the others may wait for them
    "tasks": tasks,
    "queued": queued,
    "jobs": jobs,
    "dags": dags,
    "import_errors": import_errors,
    "connections": connections,
}
DEEP = {
    "revision": revision,
    "undecryptable": undecryptable,
    "lost": lost,
    "pools": pools,
    "hosts_of_tasks": hosts_of_tasks,
}
