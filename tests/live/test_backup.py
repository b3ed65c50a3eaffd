"""The metadata database backed up, tried and put back: with real users, connections and variables, and logins."""

from __future__ import annotations

import json
import os
import re
import signal
from pathlib import Path

import pytest

from airfleet import manifest, session
from airfleet.backups import Backups, Where
from tests.live.conftest import ENV, SECOND, Watch, wait_for
from tests.live.people import person, shown, visit

pytestmark = [pytest.mark.live, pytest.mark.timeout(1200)]

FOLDER = "/var/backups/airfleet"
PASSWORD = "p@:/%w '한글"
ROWS = int(os.environ.get("AIRFLEET_BALLAST", "3000"))  # of 32 kB each, which pg_dump halves
BALLAST = f"""
create table ballast (n integer, said text); alter table ballast alter said set storage external;
insert into ballast select n, (select string_agg(md5(n || '-' || i), '') from generate_series(1, 1000) i)
from generate_series(1, {ROWS}) n;
"""
SERVICES = ("airflow-scheduler", "airflow-triggerer", "airflow-webserver", "airflow-worker@1", "airflow-worker@2")
MEMORY_MB = 180


def sql(installation, text):
    """Do it as Airflow's own role would: what is made belongs to it."""
    words = ["runuser", "-u", "postgres", "--", "psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", "airflow"]
    return installation.on("svc", *words, stdin=f"set role airflow;\n{text}").strip()


def databases(installation):
    return sql(
        installation, "select string_agg(datname, ',' order by datname) from pg_database where not datistemplate"
    )


def listed(installation, *words):
    return json.loads(installation.fab("backup.list", "--json", *words).stdout)


def made(installation, *words):
    """Make a backup and return its name."""
    installation.fab("backup.create", *words)
    return listed(installation, *[word for word in words if word != "create"])[0]["name"]


def files(installation):
    """Return {name: mode and owner} in the host's folder, those that are hidden too."""
    lines = installation.on("af1", "find", FOLDER, "-type", "f", "-printf", "%f %m %u\n").splitlines()
    return dict(line.split(" ", 1) for line in lines)


def started(installation):
    """Return since when each service runs."""
    names = [f"{name}.service" for name in SERVICES]
    return installation.on("af1", "systemctl", "show", "--property=Id,ActiveState,ActiveEnterTimestamp", *names)


@pytest.fixture(scope="module")
def api(first):
    return first.api


@pytest.fixture
def people(installation, api):
    """A user who can log in, a connection with a password, a variable: as the API writes them, encrypted."""
    password = shown(installation.fab("users.create", *person("keeper")))
    api.ask("/connections", {"connection_id": "kept", "conn_type": "http", "host": "h", "password": PASSWORD})
    api.ask("/variables", {"key": "kept", "value": "as it was 한글"})
    yield password
    for words in (["airflow", "connections delete kept"], ["airflow", "variables delete kept"]):
        installation.fab(*words, rc=None)
    installation.fab("users.delete", "keeper", "--yes", rc=None)


def test_everything_is_back_and_the_login_works(installation, api, people):
    """Made under running services, put back with --stop: user, connection, variable, decrypted; nothing is pending."""
    secrets = {n: v for n, v in installation.secret_values().items() if n != "deploy_key"}
    with Watch(lambda: secrets) as watch:
        name = made(installation)
    assert (watch.found, watch.samples > 5) == (set(), True)
    assert files(installation)[f"{name}.dump"] == "600 root"
    assert installation.on("af1", "stat", "--format=%a %U", FOLDER).strip() == "700 root"
    seen = listed(installation)[0]
    assert (seen["airflow"], seen["release"] is None, seen["verified"]) == ("2.11.2", False, None)
    assert seen["tables"]["ab_user"] >= 2
    installation.fab("users.delete", "keeper", "--yes")
    api.ask("/connections/kept", {"connection_id": "kept", "conn_type": "http", "host": "other"}, method="PATCH")
    api.ask("/variables/kept", {"key": "kept", "value": "changed"}, method="PATCH")
    sql(installation, "create table newer (id serial primary key, dag_id varchar references dag (dag_id))")
    before = started(installation)
    refused = installation.fab("backup.restore", name, "--yes", rc=8).stderr
    assert "Airflow runs: " in refused
    assert "scheduler on af1" in refused
    assert "worker on af2" in refused
    assert started(installation) == before
    with Watch(lambda: secrets) as watch:
        done = installation.fab("backup.restore", name, "--yes", "--stop").stdout
    assert watch.found == set()
    assert "not in the backup, and gone with the restore: newer" in done
    assert visit(installation, "keeper", people)
    assert api.ask("/variables/kept")["value"] == "as it was 한글"
    said = installation.fab("airflow", "connections get kept -o json").stdout
    assert json.loads(said.splitlines()[-1])[0]["password"] == PASSWORD
    assert sql(installation, "select to_regclass('newer') is null") == "t"
    installation.fab("plan")
    entries = json.loads(installation.fab("history", "--json").stdout)
    told = [(e["doing"], e["backup"], e["result"]) for e in entries if str(e["doing"]).startswith("backup.")]
    assert told[-3:] == [
        ("backup.create", name, "done"),
        ("backup.restore", name, "refused"),
        ("backup.restore", name, "done"),
    ]


def test_a_trial_leaves_nothing_and_is_written_down(installation):
    """Every row is there, the scratch database is not, and the list says when it was tried."""
    name = made(installation)
    before = databases(installation)
    done = installation.fab("backup.verify", "latest").stdout
    assert f"done: {name}" in done
    assert databases(installation) == before
    assert listed(installation)[0]["verified"]["ok"] is True
    assert re.search(rf"^{name} .*restored on trial \d+ s ago", installation.fab("backup.list").stdout, re.MULTILINE)


def test_under_another_fernet_key_nothing_is_put_back(installation):
    """Exit 8 with the reason and what to do; no service was stopped for it."""
    name = made(installation)
    config = "/home/airflow/airflow/airflow.cfg"
    before = started(installation)
    key = "b" * 43 + "="
    installation.on("af1", "cp", "--preserve", config, f"{config}.kept")
    installation.on("af1", "sed", "-i", f"s/^fernet_key *=.*/fernet_key = {key}/", config)
    try:
        refused = installation.fab("backup.restore", name, "--yes", "--stop", rc=8).stderr
    finally:
        installation.on("af1", "mv", f"{config}.kept", config)
    assert "could not be decrypted" in refused
    assert "fernet_key" in refused
    assert key not in refused
    assert started(installation) == before


def test_a_damaged_file_is_refused_before_anything_is_touched(installation):
    """Shorter: the list says so. Another byte in the middle: the checksum says so. Nothing was stopped."""
    name = made(installation)
    before = started(installation)
    path = f"{FOLDER}/{name}.dump"
    installation.on("af1", "cp", "--preserve", path, f"{path}.kept")
    installation.on("af1", "dd", f"of={path}", "bs=1", "seek=9000", "conv=notrunc", stdin="damage")
    assert "is damaged" in installation.fab("backup.restore", name, "--yes", "--stop", rc=8).stderr
    assert "its checksum" in installation.fab("backup.verify", name, rc=9).stderr
    assert "NOT RESTORABLE" in installation.fab("backup.list").stdout
    installation.on("af1", "truncate", "--size=-1", path)
    assert "LOST: the file has" in installation.fab("backup.list").stdout
    assert "the file has" in installation.fab("backup.restore", name, "--yes", "--stop", rc=8).stderr
    installation.on("af1", "mv", f"{path}.kept", path)
    assert started(installation) == before
    installation.fab("backup.verify", name)


def test_another_airflow_is_refused(installation):
    """The inventory's version is what a backup must be of."""
    name = made(installation)
    path = f"{FOLDER}/{name}.json"
    installation.on("af1", "sed", "-i", 's/"airflow": "2.11.2"/"airflow": "2.10.5"/', path)
    refused = installation.fab("backup.restore", name, "--yes", "--stop", rc=8).stderr
    assert "it is a backup of Airflow 2.10.5, and the inventory says 2.11.2" in refused
    installation.on("af1", "rm", path, path.replace(".json", ".dump"))


def test_only_so_many_are_kept(installation):
    """`backup.keep`: the oldest go, after the new one is there."""
    for _ in range(2):
        made(installation)
    kept = [each["name"] for each in listed(installation)][:1]
    before = installation.inventory.read_text()
    installation.edit(lambda value: value.update(backup={"keep": 2}))
    try:
        name = made(installation)
    finally:
        installation.inventory.write_text(before)
    assert [each["name"] for each in listed(installation)] == [name, *kept]
    assert sorted(files(installation)) == sorted(f"{each}{end}" for each in (name, *kept) for end in (".dump", ".json"))


@pytest.fixture
def ballast(installation):
    """A big table in Airflow's schema, so that a dump takes its time."""
    sql(installation, BALLAST)
    yield
    sql(installation, "drop table if exists ballast")


def rss_mb(installation, *words):
    """Run a command; return (exit code, the most memory that its process had in MB, what it printed)."""
    operator = installation.start(*words)
    output = operator.stdout.read()
    _, status, used = os.wait4(operator.pid, 0)
    operator.returncode = os.waitstatus_to_exitcode(status)
    return operator.returncode, used.ru_maxrss / 1024, output


def test_a_killed_dump_leaves_no_half_file(installation, ballast):
    """pg_dump is killed on the host; then the operator is. Both times what was there before is all that is there."""
    before = files(installation)
    for victim in ("pg_dump", "operator"):
        operator = installation.start("backup.create")
        find = ["find", FOLDER, "-name", ".*", "-size", "+1M"]
        wait_for(lambda find=find: installation.on("af1", *find), "a dump that grows")
        if victim == "pg_dump":
            installation.on("af1", "pkill", "--signal", "KILL", "--exact", "pg_dump")
            output = operator.communicate(timeout=60)[0]
            assert (operator.returncode, "pg_dump was ended by signal 9" in output) == (9, True), output
        else:
            os.kill(operator.pid, signal.SIGKILL)
            operator.communicate()
            wait_for(lambda: files(installation) == before, "the host to clear up")
        assert files(installation) == before
    wait_for(
        lambda: sql(installation, "select count(*) from pg_stat_activity where application_name = 'airfleet'") == "0",
        "sessions that end",
    )


def test_a_killed_restore_leaves_the_database_as_it_was(installation, ballast):
    """The operator is killed in the middle: the transaction is rolled back, under running services too."""
    name = made(installation)
    sql(installation, "truncate ballast; insert into ballast values (0, 'since then')")
    operator = installation.start("backup.restore", name, "--yes", "--allow-running")
    copying = "select count(*) from pg_stat_activity where query like 'COPY public.ballast%'"
    wait_for(lambda: sql(installation, copying) == "1", "rows that are copied")
    os.kill(operator.pid, signal.SIGKILL)
    operator.communicate()
    wait_for(lambda: sql(installation, copying) == "0", "the end of it")
    assert sql(installation, "select n, said from ballast") == "0|since then"
    installation.fab("backup.verify", name)


def test_a_backup_comes_here_in_little_memory_and_goes_back(installation, ballast, tmp_path):
    """Streamed both ways: what passes through is never in the operator's memory; restored, it is all there."""
    folder = tmp_path / "backups"
    rc, create_mb, output = rss_mb(installation, "backup.create", "--local", str(folder))
    assert rc == 0, output
    name = listed(installation, "--local", str(folder))[0]["name"]
    size_mb = (folder / f"{name}.dump").stat().st_size / 2**20
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    before = files(installation)
    rc, verify_mb, output = rss_mb(installation, "backup.verify", "latest", "--local", str(folder))
    assert rc == 0, output
    print(f"a dump of {size_mb:.0f} MiB: the operator had {create_mb:.0f} MiB at most, {verify_mb:.0f} to send it")
    assert max(create_mb, verify_mb) < MEMORY_MB
    assert json.loads((folder / f"{name}.json").read_text())["verified"]["ok"] is True
    sql(installation, "truncate ballast")
    installation.fab("backup.restore", name, "--yes", "--stop", "--local", str(folder))
    assert sql(installation, "select count(*) from ballast") == str(ROWS)
    assert files(installation) == before
    installation.fab("plan")


def test_a_role_without_createdb_is_told_what_to_grant(installation):
    """A trial needs it; the refusal is exit 8 and says what to type."""
    made(installation)
    admin = ["runuser", "-u", "postgres", "--", "psql", "-Xq", "-c"]
    installation.on("svc", *admin, "alter role airflow nocreatedb")
    try:
        assert 'ALTER ROLE "airflow" CREATEDB' in installation.fab("backup.verify", "latest", rc=8).stderr
    finally:
        installation.on("svc", *admin, "alter role airflow createdb")


@pytest.mark.both
def test_a_newer_client_restores_into_an_older_server(installation, monkeypatch, tmp_path):
    """Debian 13 has pg_dump 17, the server is PostgreSQL 15: what only the newer one knows is left out."""
    if SECOND[installation.airflow] != "trixie":
        pytest.skip("no host of it is Debian 13")
    installation.on("af2", "apt-get", "install", "-q", "-y", "--no-install-recommends", "postgresql-client")
    monkeypatch.setenv("AIRFLEET_ROOT", str(installation.site.root))

    class Silent:
        def say(self, *_):
            """Say nothing."""

        step = probed = say

    with session.opened(ENV, doing="backup.create") as fleet:
        backups = Backups(fleet, Silent(), Where(str(tmp_path / "backups")))
        backups.host = backups.store.host = fleet.everyone["af2"]
        made_there = backups.create("live-20260101T000000Z")
        assert made_there.words["pg_dump"].startswith("17")
        assert made_there.postgres.startswith("15")
        assert backups.verify(made_there)["ok"] is True
    assert manifest.make_backup(json.loads((tmp_path / "backups" / f"{made_there.name}.json").read_text())).verified
    assert Path(tmp_path / "backups").stat().st_mode & 0o777 == 0o700
