"""Lists the users of the web pages, and the roles that there are, from the metadata database itself.

Run by the environment's own Python beside `inside_postgres`. The tables are Flask-AppBuilder's, the same under Airflow
2 and 3. `airflow users list` takes seconds, and tells less.
"""

from __future__ import annotations

import datetime as dt

import psycopg2

from airfleet.agent import inside_postgres

COLUMNS = ("name", "firstname", "lastname", "email", "active", "logins", "last_login", "roles")
QUERY = (
    "select u.username, u.first_name, u.last_name, u.email, coalesce(u.active, false), coalesce(u.login_count, 0),"
    " u.last_login, array(select r.name from ab_role r join ab_user_role ur on ur.role_id = r.id"
    " where ur.user_id = u.id order by r.name) from ab_user u order by u.id"
)


def inside(words, tell):
    """Return {"users": [{…COLUMNS}, …], "roles": [names]}."""
    try:
        connection = inside_postgres.connect(words["dsn"])
        found = [dict(zip(COLUMNS, row)) for row in inside_postgres.query(connection, QUERY)]
        roles = [name for (name,) in inside_postgres.query(connection, "select name from ab_role order by name")]
    except inside_postgres.Refusal as e:
        return {"refused": e.args[0]}
    except psycopg2.errors.UndefinedTable:
        return {
            "refused": {"what": "the database has no tables of users", "kind": "database", "remedy": "fab bootstrap"}
        }
    connection.close()
    return {"users": [{**person, "last_login": _utc(person["last_login"])} for person in found], "roles": roles}


def _utc(moment):
    """Return a time that Airflow wrote down by this host's clock and zone, without saying so, as UTC."""
    return moment and moment.astimezone(dt.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
