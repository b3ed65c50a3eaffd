"""In Airflow's place: an environment whose `airflow` is a script that knows a schema and users: a fixture."""

from __future__ import annotations

import shutil

import pytest

from airfleet.generations import generation_of

MIGRATION = 'revision = "{0}"\ndown_revision = {1!r}\n'
TABLES = (
    *("dag", "dag_run", "task_instance", "xcom", "log", "connection", "variable", "slot_pool", "serialized_dag"),
    *("import_error", "trigger", "ab_permission", "ab_permission_view_role"),
)
SCHEMA = [
    *(f"create table if not exists {name} (id serial primary key)" for name in TABLES),
    "create table if not exists job (id serial, job_type text, state text, hostname text, latest_heartbeat timestamptz,"
    " start_date timestamptz)",
    "create table if not exists ab_user (id serial primary key, username text, active boolean default true,"
    " login_count integer, email text unique, password text, first_name text, last_name text, last_login timestamp)",
    "create table if not exists ab_role (id serial primary key, name text)",
    "create table if not exists ab_user_role (user_id integer, role_id integer)",
    "insert into ab_role (name) select 'Admin' where not exists (select from ab_role)",
    "create table if not exists alembic_version (version_num text)",
    "delete from alembic_version",
]
AIRFLOW = """\
#!{python}
# What `airflow db migrate` and `airflow users` do, as far as the agent can see it.
import getpass, os, sys, psycopg2
words = dict(word.split("=", 1) for word in sys.argv[3:])
assert os.environ["AIRFLOW_HOME"] == "/home/x"
c = psycopg2.connect(os.environ["TEST_DSN"])
q = c.cursor()
print("warnings of many libraries")
if sys.argv[1:3] == ["db", "migrate"]:
    for statement in {schema!r}:
        q.execute(statement)
    q.execute("insert into alembic_version values ('bbb222')")
elif sys.argv[1:3] == ["users", "create"]:
    first, second = getpass.getpass("Password:"), getpass.getpass("Repeat for confirmation:")
    assert first == second and len(first) >= 12
    q.execute("select 1 from ab_user where lower(username) = lower(%s)", (words["--username"],))
    if q.fetchone():
        print(words["--username"], "already exist in the db")
        sys.exit()
    try:
        q.execute("insert into ab_user (username, email, password, first_name, last_name) values (%s, %s, %s, %s, %s)"
                  " returning id", [words["--username"], words["--email"], first, words["--firstname"],
                                    words["--lastname"]])
    except psycopg2.Error as e:
        print("sqlalchemy.exc.IntegrityError:", e)
        print("[parameters: {{'password': '" + first + "'}}]")
        print("Failed to create user")
        sys.exit(1)
    user = q.fetchone()[0]
    q.execute("insert into ab_user_role select %s, id from ab_role where name = %s", (user, words["--role"]))
elif sys.argv[1:3] == ["users", "add-role"]:
    q.execute("insert into ab_user_role select u.id, r.id from ab_user u, ab_role r where username = %s and name = %s",
              (words["--username"], words["--role"]))
elif sys.argv[1:3] == ["users", "reset-password"]:
    assert os.environ["AIRFLOW__WEBSERVER__SESSION_BACKEND"] == "securecookie"
    first, second = getpass.getpass("Password:"), getpass.getpass("Repeat for confirmation:")
    assert first == second
    q.execute("update ab_user set password = %s where username = %s", (first, words["--username"]))
elif sys.argv[1:3] == ["users", "delete"]:
    try:
        q.execute("delete from ab_user where username = %s", (words["--username"],))
    except psycopg2.Error as e:
        print("ERROR - Remove Register User Error:", e)
        print("Failed to delete user")
        sys.exit(1)
else:
    sys.exit(2)
c.commit()
"""


@pytest.fixture(scope="module")
def venv(drivers):
    """The drivers' environment, made to look like one with Airflow 2.11.2 in it."""
    site = next(drivers.glob("lib/python*/site-packages"))
    versions = site / "airflow" / "migrations" / "versions"
    versions.mkdir(parents=True)
    (versions / "0001_1_0_0_first.py").write_text(MIGRATION.format("aaa111", None))
    (versions / "0002_2_0_0_second.py").write_text(MIGRATION.format("bbb222", "aaa111"))
    (site / "apache_airflow-2.11.2.dist-info").mkdir()
    (site / "apache_airflow_providers_fab-1.0.dist-info").mkdir()
    program = drivers / "bin" / "airflow"
    program.write_text(AIRFLOW.format(python=drivers / "bin" / "python", schema=SCHEMA))
    program.chmod(0o755)
    yield drivers
    shutil.rmtree(site / "airflow")
    shutil.rmtree(site / "apache_airflow-2.11.2.dist-info")
    shutil.rmtree(site / "apache_airflow_providers_fab-1.0.dist-info")
    program.unlink()


COMMANDS = generation_of("2.11.2").commands
