"""TLS with a real PostgreSQL whose certificate an authority of the tests' own gave it, as Cloud SQL's gives its."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import pytest
from agent_services import POSTGRES
from backup_rig import PASSWORD, Rig

from airfleet import airflow_cfg, inventory, layout
from airfleet.agent import effective, inside, stores
from airfleet.secrets import Secret, Secrets
from tests.authority_rig import OVER, authority
from tests.authority_rig import server as certificate

pytestmark = pytest.mark.skipif(POSTGRES is None, reason="PostgreSQL is not installed here")

INVENTORY = """
airflow: {{home: {home}}}
database: {{host: 127.0.0.1, port: {port}, sslmode: {sslmode}, ca: {ca}}}
dags: {{repository: "git@git.internal:data/dags.git"}}
hosts:
  af1: {{address: 10.0.0.1, roles: [redis, webserver, scheduler, triggerer, worker, flower]}}
"""


@pytest.fixture(scope="module")
def papers():
    """A folder that the server can enter: the authorities `ours`, `theirs` and `old`, and what they signed."""
    with tempfile.TemporaryDirectory(prefix="airfleet-papers-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        for each in ("ours", "theirs"):
            authority(folder, each)
        authority(folder, "old", OVER)
        certificate(folder, "ours", "good")
        certificate(folder, "ours", "over", OVER)
        certificate(folder, "old", "aged")
        for key in folder.glob("*.key"):
            if os.getuid() == 0:
                shutil.chown(key, "postgres")
            key.chmod(0o600)
        yield folder


@pytest.fixture
def rig(agent, server, account, tmp_path):
    return Rig(agent, server, account, tmp_path)


@pytest.fixture
def serve(rig, papers):
    """Have the server show a certificate, or none."""

    def serve(name):
        files = [f"ssl_cert_file = '{papers}/{name}.pem'", f"ssl_key_file = '{papers}/{name}.key'"] if name else []
        for setting in [*files, f"ssl = {'on' if name else 'off'}"]:
            rig.sql(f"alter system set {setting}")
        rig.sql("select pg_reload_conf()")
        deadline = time.monotonic() + 10
        while rig.sql("show ssl").strip() != ("on" if name else "off"):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        time.sleep(0.2 if name else 0)  # `show` of a file name says nothing of what the postmaster has loaded

    yield serve
    serve(None)


def dsn(rig, papers, ca, sslmode="verify-ca", **more):
    text = (papers / f"{ca}.pem").read_text() if ca else ""
    return {**rig.words["dsn"], "sslmode": sslmode, "authority": text, **more}


def tried(drivers, account, dsn):
    """Return why the driver of Airflow's environment can't use the database; empty when it can."""
    words = {"question": "writes", "dsn": dsn, "timeout_s": 0}
    answer = inside.ask(str(drivers), "inside_postgres", words, account=account)
    assert PASSWORD not in str(answer)
    return answer["why"]


CASES = [
    ("good", "ours", "verify-ca", ""),
    ("good", "ours", "require", ""),
    ("good", None, "require", ""),
    ("good", "theirs", "verify-ca", "is not from the authority in database.ca"),
    ("good", "theirs", "require", "is not from the authority in database.ca"),
    ("over", "ours", "verify-ca", "the database's certificate has expired"),
    ("aged", "old", "verify-ca", "the authority's certificate (database.ca) expired: Feb  1 00:00:00 2020 GMT"),
    ("good", "ours", "verify-full", "the database's certificate is for another name"),
    (None, "ours", "verify-ca", "do not agree on TLS"),
]


@pytest.mark.parametrize(("shown", "ca", "sslmode", "says"), CASES)
def test_a_probe_says_what_is_wrong_with_the_certificate(
    drivers, account, rig, papers, serve, shown, ca, sslmode, says
):
    """Each in words of its own, by the driver that Airflow uses and by psql; the right one is let in by both."""
    serve(shown)
    way = dsn(rig, papers, ca, sslmode)
    why = tried(drivers, account, way)
    assert (says in why) if says else why == ""
    made = rig.create(dsn=way)
    if not says:
        assert "sha256" in made, made
    else:
        assert (made["t"], made["class"]) == ("failed", "database")
        assert rig.names() == []
    if says and (shown, sslmode) != (None, "verify-ca") and sslmode != "verify-full":
        assert says in made["error"]


def test_a_backup_goes_and_comes_back_over_tls(rig, papers, serve):
    """pg_dump, pg_restore and psql have all checked the certificate: with a stranger's each refuses."""
    serve("good")
    made = rig.create(dsn=dsn(rig, papers, "ours"))
    rig.own("delete from dag_run")
    words = {"dsn": dsn(rig, papers, "ours"), "keep_pauses": False}
    assert rig.call("backup_verify", made, **words)["t"] == "answer"
    assert "authority" in rig.call("backup_verify", made, dsn=dsn(rig, papers, "theirs"))["error"]


def inventory_of(papers, tmp_path, port, ca="ours", sslmode="verify-ca"):
    text = INVENTORY.format(home=tmp_path / "airflow", port=port, sslmode=sslmode, ca=papers / f"{ca}.pem")
    return inventory.parse(text, tmp_path / "inventory.yaml")


def test_airflows_own_url_checks_the_certificate(drivers, rig, papers, serve, tmp_path):
    """What stands in airflow.cfg reads the file that bootstrap puts there; the doctor takes the same from it."""
    serve("good")
    fleet = inventory_of(papers, tmp_path, rig.port)
    url = airflow_cfg.database_url(fleet, Secrets({"database_password": Secret(PASSWORD)}))
    place = Path(layout.layout_of(fleet).database_ca)
    place.parent.mkdir()
    code = (
        "import sys, psycopg2\nc = psycopg2.connect(sys.stdin.read().replace('+psycopg2', ''))\nq = c.cursor()\n"
        "q.execute('select ssl from pg_stat_ssl where pid = pg_backend_pid()')\nprint(q.fetchone()[0])"
    )

    def connect():
        argv = [drivers / "bin" / "python", "-c", code]
        return subprocess.run(argv, input=url, capture_output=True, text=True)

    assert "root certificate file" in connect().stderr
    place.write_text(fleet.database.authority)
    assert connect().stdout == "True\n"
    place.write_text((papers / "theirs.pem").read_text())
    assert "certificate verify failed" in connect().stderr
    assert effective.address(url)["options"]["sslrootcert"] == str(place)
    assert stores.dsn(url)["sslrootcert"] == str(place)


def test_the_doctors_way_names_a_file_that_is_missing(drivers, account, rig, serve, tmp_path):
    """Its settings are those of the host's airflow.cfg, so the file that they name is what counts."""
    serve("good")
    way = {**rig.words["dsn"], "sslmode": "verify-ca", "sslrootcert": str(tmp_path / "gone.pem")}
    assert "can't be read on this host" in tried(drivers, account, way)


def test_a_file_that_is_no_good_authority_is_an_error_of_the_inventory(papers, tmp_path, server):
    """Expired, a server's own certificate, a key, nothing there: each with its line and in its own words."""
    (tmp_path / "key.pem").write_text((papers / "ours.key").read_text() + (papers / "ours.pem").read_text())
    (tmp_path / "empty.pem").write_text("nothing\n")
    (tmp_path / "torn.pem").write_text((papers / "ours.pem").read_text()[:200] + "\n-----END CERTIFICATE-----\n")
    for folder, name, says in (
        (papers, "old", "expired on 2020-02-01: get the authority's new certificate"),
        (papers, "good", "is no authority's certificate, but a server's own"),
        (tmp_path, "key", "has a private key in it"),
        (tmp_path, "empty", "has no certificate in it"),
        (tmp_path, "torn", "has a certificate that is damaged"),
        (tmp_path, "gone", "can't be read: No such file or directory"),
    ):
        with pytest.raises(inventory.places.BadFile, match=r"inventory.yaml:3: database.ca: ") as caught:
            inventory_of(folder, tmp_path, server, name)
        assert says in str(caught.value)


def test_an_authority_that_nobody_looks_at_is_an_error(papers, tmp_path, server):
    """`prefer` takes whatever certificate comes: who names an authority wants to be told."""
    with pytest.raises(inventory.places.BadFile, match="prefer does not look at it: write sslmode: verify-ca"):
        inventory_of(papers, tmp_path, server, sslmode="prefer")


def test_of_two_authorities_one_that_is_good_is_enough(papers, tmp_path, server):
    """During a rotation the file has both; what stands between them is left out."""
    (tmp_path / "both.pem").write_text(
        f"subject=/CN=old\n{(papers / 'old.pem').read_text()}\n# new\n{(papers / 'ours.pem').read_text()}"
    )
    found = inventory_of(tmp_path, tmp_path, server, "both").database.authority
    assert found == (papers / "old.pem").read_text() + (papers / "ours.pem").read_text()
