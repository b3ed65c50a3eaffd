"""Constraints with digests: uv writes them from an inventory, and a host installs nothing else. Nothing is fetched."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from wheels import wheel

from airfleet import digests, gates, inventory, versions
from airfleet.agent import run, uv
from airfleet.errors import ApplyFailed, UsageError
from airfleet.sections import Airflow

ROOT = Path(__file__).parents[2]
MINOR = "{}.{}".format(*sys.version_info)
INVENTORY = """
airflow: {{version: 3.3.2, python: {python}, constraints: {constraints}, requirements: {requirements}}}
database: {{host: 10.0.0.2}}
dags: {{repository: "https://git.internal/dags.git"}}
hosts: {{a: {{address: 10.0.0.3, roles: [redis, scheduler, webserver, worker]}}}}
"""


@pytest.fixture
def wheels(tmp_path, monkeypatch):
    """An index of four packages, which is all that uv has here."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    wheel(folder, "apache_airflow", "3.3.2", "beta")
    for version in ("1.9", "2.0"):
        wheel(folder, "beta", version)
    wheel(folder, "gamma", "1.0")
    wheel(folder, "delta", "1.0")
    monkeypatch.setenv("UV_FIND_LINKS", str(folder))
    monkeypatch.setenv("UV_NO_INDEX", "1")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "operators-cache"))
    return folder


@pytest.fixture
def ops(tmp_path, wheels, monkeypatch):
    """An operator's folder: an inventory whose constraints are a plain file."""
    folder = tmp_path / "ops"
    folder.mkdir()
    (folder / "plain.txt").write_text("beta==1.9\n")
    (folder / "inventory.yaml").write_text(
        INVENTORY.format(python=f"{MINOR}.2", constraints="plain.txt", requirements="[]")
    )
    monkeypatch.setenv("AIRFLEET_ROOT", str(folder))
    return folder


def fab(*words, rc=0):
    done = subprocess.run(
        [Path(sys.executable).with_name("fab"), *words], cwd=ROOT, capture_output=True, text=True, env={**os.environ}
    )
    assert done.returncode == rc, done.stdout + done.stderr
    return done


def airflow_of(ops):
    return inventory.load(ops / "inventory.yaml").airflow


def test_the_command_writes_a_file_that_the_inventory_can_name(ops):
    """Every package under the old versions, with its digest; printed alone nothing is written; said what to set."""
    shown = fab("inventory.constraints").stdout
    assert [path.name for path in ops.iterdir() if path.name.startswith("constraints")] == []
    said = fab("inventory.constraints", "--write").stdout
    path = ops / f"constraints-3.3.2-py{MINOR}.txt"
    assert path.read_text() == shown
    assert versions.read_constraints(shown) == {"apache-airflow": "3.3.2", "beta": "1.9"}
    assert versions.without_digest(shown) == []
    assert "airflow: {constraints: constraints-{version}-py{python}.txt}" in said
    text = (ops / "inventory.yaml").read_text().replace("plain.txt", '"constraints-{version}-py{python}.txt"')
    (ops / "inventory.yaml").write_text(text)
    given = gates.constraints_of(inventory.load(ops / "inventory.yaml"))
    assert (given, versions.all_have_digests(given)) == ({"text": shown}, True)
    assert fab("inventory.constraints").stdout.splitlines()[2:] == shown.splitlines()[2:]


def test_the_packages_of_a_dag_repository_are_taken_in(ops, tmp_path):
    """Or a host would refuse them."""
    (tmp_path / "theirs.txt").write_text("gamma==1.0\n")
    shown = fab("inventory.constraints", "--requirements", str(tmp_path / "theirs.txt")).stdout
    assert "gamma==1.0 \\" in shown
    assert "can't be read" in fab("inventory.constraints", "--requirements", "/nothing", rc=2).stderr


def test_what_can_not_be_resolved_is_told_in_uvs_words(ops):
    """Exit 5, nothing written; of the distribution's Python the operator says which."""
    (ops / "plain.txt").write_text("beta==7\n")
    with pytest.raises(ApplyFailed, match="beta==7") as e:
        digests.resolved(airflow_of(ops), MINOR)
    assert e.value.state == "nothing was written"
    with pytest.raises(UsageError, match="each may have another"):
        digests.python_of(Airflow(python="system"), "")
    with pytest.raises(UsageError, match="does not run on 3"):
        digests.python_of(Airflow(python="system"), "3.9")
    assert digests.python_of(Airflow(python="system"), "3.12") == "3.12"
    (ops / "plain.txt").unlink()
    with pytest.raises(UsageError, match=r"there is no .*plain\.txt"):
        digests.resolved(airflow_of(ops), MINOR)


def test_before_an_upgrade_the_versions_come_from_elsewhere(ops):
    """`--to` and `--source`: the file is named by that version, and the inventory stays as it is."""
    before = (ops / "inventory.yaml").read_text()
    (ops / "new.txt").write_text("beta==2.0\n")
    meant = digests.wanted(airflow_of(ops), "2.11.2", str(ops / "new.txt"))
    assert (meant.packages[0].rpartition("==")[2], Path(meant.constraints)) == ("2.11.2", ops / "new.txt")
    assert digests.place_of(meant, "3.11", ops).name == "constraints-2.11.2-py3.11.txt"
    shown = fab("inventory.constraints", "--source", str(ops / "new.txt")).stdout
    assert versions.read_constraints(shown)["beta"] == "2.0"
    assert "one of 2.11.2, 3.3.2" in fab("inventory.constraints", "--to", "9.9", rc=2).stderr
    assert (ops / "inventory.yaml").read_text() == before


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("a==1 \\\n    --hash=sha256:0 \\\n    --hash=sha256:1\nb==2 --hash=sha256:2\n", []),
        ("a==1\nb==2 \\\n    --hash=sha256:2\n# c==1\n", ["a"]),
        ("A_b==1 ; python_version < '3.12' \\\n    --hash=sha256:0\n", []),
        ("", []),
    ],
)
def test_which_packages_have_no_digest(text, missing):
    """Lines that go on, markers and comments are read; a file without one digest is a plain one."""
    assert versions.without_digest(text) == missing
    assert versions.all_have_digests({"text": text}) == ("--hash" in text and not missing)
    assert not versions.all_have_digests({"texts": {"3.11": text, "3.12": "a==1\n"}})
    assert not versions.all_have_digests({"url": "https://example.com/c.txt"})


def test_a_broken_set_is_seen_under_its_digests(ops):
    """The guard of known bad versions reads such a file as well."""
    (ops / "plain.txt").write_text("celery==5.7.1 \\\n    --hash=sha256:0\n")
    with pytest.raises(UsageError, match=r"celery 5\.7\.1"):
        gates.constraints_of(inventory.load(ops / "inventory.yaml"))


@pytest.fixture
def make(agent, account, wheels, tmp_path):
    """Have the agent fill an environment under these constraints, as bootstrap asks it to."""
    path = tmp_path / "versions" / "airflow-abc"

    def made(text, *requirements, digest="abc"):
        words = {
            "account": account,
            "python": sys.executable,
            "uv": digests.uv(),
            "requirements": ["--no-index", f"--find-links {wheels}", *requirements],
            "constraints": {"text": text},
            "digests": versions.all_have_digests({"text": text}),
            "cache": str(tmp_path / f"cache-{digest}"),
        }
        return agent.make("venv", path, {"digest": digest, "packages": "as installed"}, **words)

    made.path = path
    return made


def test_a_host_installs_what_has_the_digest_and_nothing_else(agent, make, ops, wheels):
    """What the registry has changed, what has no digest, what has no version: each refused by name, nothing left."""
    airflow = airflow_of(ops)
    text = digests.resolved(airflow, MINOR)
    assert make(text, *airflow.packages)["t"] == "done"
    for wanted in ("delta==1.0", "delta"):
        answer = make(text, *airflow.packages, wanted, digest="more")
        assert (answer["t"], answer["class"]) == ("failed", "packages")
        assert "a requirement has none there, or no version" in answer["error"]
    wheel(wheels, "beta", "1.9", "gamma")
    answer = make(text, *airflow.packages, digest="wants-more")
    assert (answer["class"], "`gamma`" in answer["tail"]) == ("packages", True)
    wheel(wheels, "beta", "1.9", "apache_airflow")
    answer = make(text, *airflow.packages, digest="later")
    assert (answer["t"], answer["class"]) == ("failed", "packages")
    assert "a package is not the one whose digest the constraints have" in answer["error"]
    assert "beta==1.9" in answer["tail"]
    assert agent.state("venv", make.path) is None


def test_what_is_put_back_has_its_digest_too(make, account, ops, wheels, tmp_path):
    """A package removed by hand comes back from the registry: the one that it was, or none."""
    airflow = airflow_of(ops)
    text = digests.resolved(airflow, MINOR)
    make(text, *airflow.packages)
    site = next(make.path.glob("lib/python*/site-packages"))
    work = tmp_path / "work"
    work.mkdir()
    if os.getuid() == 0:
        shutil.chown(work, account)

    def put_back(cache):
        filled = uv.Uv(digests.uv(), account, str(make.path), str(work), str(tmp_path / cache), print)
        filled.env |= {"UV_FIND_LINKS": str(wheels), "UV_NO_INDEX": "1"}
        filled.put_back([], ["beta-1.9"], {"text": text}, MINOR)

    shutil.rmtree(site / "beta-1.9.dist-info")
    put_back("cache")
    assert (site / "beta-1.9.dist-info").is_dir()
    shutil.rmtree(site / "beta-1.9.dist-info")
    wheel(wheels, "beta", "1.9", "gamma")
    with pytest.raises(run.Refused, match="not the one whose digest"):
        put_back("another")
