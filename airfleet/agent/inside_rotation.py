"""Changes the password of Airflow's role, and tries Fernet keys on all that is stored: run by the environment's Python.

The database gets the verifier of a password, never the password: a statement may be written to the server's log.
"""

from __future__ import annotations

import psycopg2

from airfleet.agent import inside_postgres

ENCRYPTED = (
    # What a row is called; its table, key and column; which rows have something encrypted there.
    ("connection {} (password)", "connection", "conn_id", "password", "is_encrypted"),
    ("connection {} (extra)", "connection", "conn_id", "extra", "is_extra_encrypted"),
    ("variable {}", "variable", "key", "val", "is_encrypted"),
    ("trigger {}", "trigger", "id", "kwargs", "true"),
    ("test of a connection {} (password)", "connection_test_request", "id", "password", "is_encrypted"),
    ("test of a connection {} (extra)", "connection_test_request", "id", "extra", "is_extra_encrypted"),
)
PLAIN = "{"  # Airflow never encrypted the triggers of old migrations


def inside(words, tell):
    """Answer one question."""
    try:
        return {"alter": alter, "unread": unread}[words["question"]](words)
    except inside_postgres.Refusal as e:
        return {"refused": e.args[0]}


def alter(words):
    """Give the role the new verifier, as the role itself: whichever of the passwords still lets it in."""
    old, new = words["dsns"]
    try:
        connection = inside_postgres.connect(old)
    except inside_postgres.Refusal:
        connection = inside_postgres.connect(new)  # a try that was cut short has changed it
    try:
        with connection.cursor() as cursor:
            cursor.execute("alter role current_user password %s", (words["verifier"],))
    except psycopg2.Error as e:
        place = f"{new['host']}:{new['port']}/{new['name']}"
        what = f"{place}: the database does not let {new['user']} change its own password"
        remedy = "let who manages the database change it, and write it into the secrets file as database_password"
        return {"refused": {"what": what, "kind": "database", "remedy": remedy, "tail": (e.diag.message_primary or "")}}
    finally:
        connection.close()
    inside_postgres.connect(new).close()
    return {}


def unread(words):
    """Return {"unread": [names], "mended": n, "stored": n}: what `keys` can't decrypt of all that Airflow stored.

    With `all_keys` what only those can decrypt is stored anew under the first of them: `airflow rotate-fernet-key` of
    2.11 pages through rows that move while it changes them, and so leaves some out where there are more than a hundred.
    """
    from cryptography.fernet import Fernet, InvalidToken, MultiFernet

    def fernet(keys):
        return MultiFernet([Fernet(key.strip()) for key in keys.split(",")])

    some = fernet(words["keys"])
    every = fernet(words["all_keys"]) if words.get("all_keys") else some
    connection = inside_postgres.connect(words["dsn"])
    found = {"unread": [], "mended": 0, "stored": 0}
    for title, table, key, column, which in ENCRYPTED:
        if inside_postgres.query(connection, "select to_regclass(%s)", table)[0][0] is None:
            continue
        change = f"update {table} set {column} = %s where {key} = %s and {column} = %s"
        for name, value in inside_postgres.query(connection, f"select {key}, {column} from {table} where {which}"):
            if not value or value.startswith(PLAIN):
                continue
            found["stored"] += 1
            try:
                some.decrypt(value.encode())
            except InvalidToken:
                try:
                    anew = every.rotate(value.encode()).decode()
                except InvalidToken:
                    found["unread"].append(title.format(name))
                    continue
                with connection.cursor() as cursor:
                    cursor.execute(change, (anew, name, value))  # whoever has changed it meanwhile has the new key
                found["mended"] += 1
    connection.close()
    return found
