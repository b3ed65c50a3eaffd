"""Secrets in Google's Secret Manager: the real library, against a service that is built from its own messages."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml
from invoke import Context
from invoke.exceptions import Exit
from secret_manager_rig import PREFIX, PROJECT, serving

from airfleet import secret_manager, secret_origins, session
from airfleet.bootstrap import bring_up
from airfleet.errors import ApplyFailed, GateRefused, HostUnreachable, UsageError
from airfleet.inventory import parse
from airfleet.secret_forms import GENERATED
from airfleet.secret_manager import Manager
from airfleet.secrets import EMULATOR, Secret, Secrets
from airfleet.wishes import BootstrapWish
from tasks import secrets as tasks
from tests.flows.deploy_host import DeployHost
from tests.flows.quiet import Quiet

ROOT = Path(__file__).parents[2]
KEY = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAA\n-----END OPENSSH PRIVATE KEY-----\n"
FERNET = "F" * 43 + "="
INVENTORY = {
    "airflow": {"version": "2.11.2"},
    "database": {"host": "10.1.0.2"},
    "dags": {"repository": "https://git.internal/dags.git"},
    "secrets": {"provider": "gcp", "project": PROJECT},
    "hosts": {"af1": {"address": "10.1.0.11", "roles": ["redis", "scheduler", "webserver", "worker"]}},
}
NEEDED = {"redis_password", "fernet_key", "webserver_secret_key", "flower_password", "database_password"}


@pytest.fixture(scope="module")
def served():
    with serving() as (service, address):
        yield service, address


@pytest.fixture
def service(served):
    served[0].forget()
    return served[0]


@pytest.fixture
def manager(served, service):
    return Manager(PROJECT, PREFIX, served[1], deadline_s=1)


@pytest.fixture
def load(served, service, tmp_path):
    """Return the secrets of an installation, of its environment and of the manager."""

    def loaded(environ=(), **changes):
        inventory = parse(yaml.safe_dump({**INVENTORY, **changes}), tmp_path / "inventory.yaml")
        return secret_origins.load(inventory, tmp_path / "secrets.yaml", {EMULATOR: served[1], **dict(environ)})

    return loaded


def fill(service):
    """Have all that the inventory needs."""
    for name in NEEDED - {"fernet_key"}:
        service.give(name, f"the {name}")
    service.give("fernet_key", FERNET)


class TestRead:
    """What a session has."""

    def test_the_latest_version_of_each(self, load, service):
        """And a pinned one where that is wanted; those alone are asked for that the inventory needs."""
        fill(service)
        service.give("redis_password", "first", "second")
        assert "second" == load().redis_password.reveal()
        assert {("access", name) for name in NEEDED} == set(service.asked)
        pinned = {**INVENTORY["secrets"], "versions": {"redis_password": "1"}}
        assert "first" == load(secrets=pinned).redis_password.reveal()

    def test_the_environment_wins(self, load, service):
        """The manager is not even asked."""
        fill(service)
        found = load({"AIRFLEET_SECRET_REDIS_PASSWORD": "mine"})
        assert "mine" == found.redis_password.reveal()
        assert ("access", "redis_password") not in service.asked

    def test_a_line_break_behind_a_value_is_not_part_of_it(self, load, service):
        """`echo pw | gcloud secrets versions add` leaves one; a key's own stays."""
        fill(service)
        service.give("database_password", "pw\n")
        service.give("deploy_key", KEY.strip())
        found = load(dags={"repository": "git@git.internal:dags.git"})
        assert ("pw", KEY) == (found.database_password.reveal(), found.deploy_key.reveal())

    def test_a_missing_one_is_told_with_both_ways_to_give_it(self, load, service):
        """As one that is not in the file; a secret without versions is missing, too."""
        service.give("database_password")
        with pytest.raises(UsageError) as e:
            load().database_password.reveal()
        assert f"Secret Manager of {PROJECT}: missing: database_password" in str(e.value)
        assert "fab secrets.push" in e.value.remedy
        assert "AIRFLEET_SECRET_DATABASE_PASSWORD" in e.value.remedy

    @pytest.mark.parametrize("payload", [b"\xff\xfe", b"two\nlines", b""])
    def test_what_can_be_no_secret_is_told_without_its_value(self, load, service, payload):
        """With its version."""
        fill(service)
        service.give("redis_password", payload)
        with pytest.raises(UsageError) as e:
            load()
        assert f"version 1 of {PREFIX}redis_password" in str(e.value)
        assert "lines" not in str(e.value)

    def test_an_installation_with_a_file_imports_nothing_of_googles(self):
        """The extra is needed by nobody else."""
        code = "import sys, airfleet.bootstrap, airfleet.safekeeping; print([n for n in sys.modules if 'google' in n])"
        done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
        assert "[]\n" == done.stdout


class TestRefusals:
    """Each in words of its own, with the command that mends it."""

    def test_denied(self, load, service):
        """Exit 8, Google's own words, the role and the secret."""
        fill(service)
        service.denied = {PREFIX + "fernet_key"}
        with pytest.raises(GateRefused) as e:
            load()
        assert f"you may not read {PREFIX}fernet_key, or there is none: Permission" in str(e.value)
        grant = f"gcloud secrets add-iam-policy-binding {PREFIX}fernet_key --project={PROJECT}"
        assert f"{grant} --role=roles/secretmanager.secretAccessor" in e.value.remedy

    def test_the_api_is_off(self, load, service):
        """Which Google tells as a denial."""
        service.off = True
        with pytest.raises(GateRefused) as e:
            load()
        assert f"gcloud services enable secretmanager.googleapis.com --project={PROJECT}" == e.value.remedy

    @pytest.mark.parametrize(
        ("version", "state", "mends"),
        [
            ("1", "DISABLED", f"gcloud secrets versions enable 1 --secret={PREFIX}redis_password"),
            ("latest", "DISABLED", f"gcloud secrets versions enable 1 --secret={PREFIX}redis_password"),
            ("1", "DESTROYED", f"gcloud secrets versions list {PREFIX}redis_password"),
        ],
    )
    def test_a_version_that_is_not_enabled(self, manager, service, version, state, mends):
        """Disabled ones can be enabled, destroyed ones can't."""
        service.give("redis_password", "pw")
        service.kept[PREFIX + "redis_password"][0].state = state
        with pytest.raises(UsageError) as e:
            manager.read("redis_password", version)
        assert f"is in {state} state" in str(e.value)
        assert mends in e.value.remedy

    def test_a_pinned_version_that_is_not_there(self, manager, service):
        """No secret is missing: the pin is wrong."""
        service.give("redis_password", "pw")
        with pytest.raises(UsageError) as e:
            manager.read("redis_password", "7")
        assert "has no version 7" in str(e.value)
        assert "secrets.versions.redis_password" in e.value.remedy

    def test_no_login(self, load, monkeypatch, tmp_path):
        """Neither gcloud's nor a machine's."""
        for name, value in (("NO_GCE_CHECK", "true"), ("HOME", str(tmp_path)), ("CLOUDSDK_CONFIG", str(tmp_path))):
            monkeypatch.setenv(name, value)
        monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
        with pytest.raises(UsageError) as e:
            load({EMULATOR: ""})
        assert "no credentials of Google's" in str(e.value)
        assert "gcloud auth application-default login" == e.value.remedy

    def test_nobody_listens(self):
        """Exit 3, after the deadline, with the address."""
        with pytest.raises(HostUnreachable) as e:
            Manager(PROJECT, emulator="127.0.0.1:9", deadline_s=0.2).read("redis_password")
        assert "127.0.0.1:9" in e.value.remedy

    def test_somebody_listens_and_says_nothing(self, manager, service):
        """The deadline holds there, too."""
        service.silent.clear()
        manager.deadline_s = 0.2
        with pytest.raises(HostUnreachable) as e:
            manager.read("redis_password")
        service.silent.set()
        assert "(limit 0.2 s)" in str(e.value)

    def test_damaged_on_the_way(self, manager, service):
        """The checksum is Google's."""
        service.give("redis_password", "pw")
        service.damaged = True
        with pytest.raises(HostUnreachable, match="damaged"):
            manager.read("redis_password")

    def test_no_library(self, manager, monkeypatch):
        """It is an extra."""
        monkeypatch.setitem(sys.modules, "google.cloud.secretmanager_v1", None)
        monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
        with pytest.raises(UsageError) as e:
            manager.read("redis_password")
        assert "pip install google-cloud-secret-manager" in e.value.remedy


class TestKeep:
    """Secrets that a bootstrap has made."""

    @pytest.fixture
    def keep(self, served, tmp_path):
        inventory = parse(yaml.safe_dump(INVENTORY), tmp_path / "inventory.yaml")
        file = tmp_path / "secrets.yaml"

        def kept(**values):
            known = Secrets({name: Secret(value) for name, value in values.items()})
            return secret_origins.keep(known, values, inventory, file, {EMULATOR: served[1]})

        return kept

    def test_they_are_added_and_no_file_is_made(self, keep, service, tmp_path):
        """To a secret that Terraform made empty, too; said with their place, and typed again it adds nothing."""
        service.give("redis_password")
        for _ in range(2):
            said = keep(redis_password="r", fernet_key=FERNET)
        assert f"made the secrets redis_password, fernet_key in Secret Manager of {PROJECT}" == said
        assert ([b"r"], [FERNET.encode()]) == (service.values("redis_password"), service.values("fernet_key"))
        assert [] == list(tmp_path.iterdir())

    def test_what_somebody_else_has_made_stays(self, keep, service):
        """Two first bootstraps at the same time: the second is refused, and has written nothing."""
        service.give("fernet_key", "G" * 43 + "=")
        with pytest.raises(GateRefused, match="somebody else has made fernet_key meanwhile"):
            keep(redis_password="r", fernet_key=FERNET)
        assert ([], 1) == (service.values("redis_password"), len(service.values("fernet_key")))

    def test_the_key_that_may_be_made_anew_gets_a_version(self, keep, service):
        """An upgrade that was undone has left one that the old Airflow did not read."""
        service.give("jwt_secret", "old")
        keep(jwt_secret="new")
        assert [b"old", b"new"] == service.values("jwt_secret")

    def test_a_refusal_in_the_middle_tells_what_was_made(self, keep, service):
        """No host was changed."""
        service.denied = {("create", PREFIX + "fernet_key")}
        with pytest.raises(GateRefused) as e:
            keep(redis_password="r", fernet_key=FERNET)
        assert "you may not create" in str(e.value)
        assert "no host was changed" in e.value.state
        assert e.value.state.endswith("redis_password")


class TestBootstrap:
    """The whole command, with hosts in memory."""

    @pytest.fixture
    def host(self, served, service, install, diary, monkeypatch):
        made = DeployHost("af1", diary, {})
        install(INVENTORY, lambda name, address, ask: made)
        monkeypatch.setenv(EMULATOR, served[1])
        Path(os.environ["AIRFLEET_ROOT"], "secrets.yaml").unlink()
        return made

    def test_the_first_one_adds_what_it_makes(self, host, service):
        """Before any host is changed, so that a run that fails there has lost no key; the next one reads them."""
        service.give("database_password", "pw")
        host.failing = {"apt"}
        screen = Quiet()
        with pytest.raises(ApplyFailed):
            bring_up("", BootstrapWish(), screen)
        assert NEEDED - {"database_password"} == {name for name in GENERATED if service.values(name)}
        assert any(line.startswith("made the secrets fernet_key,") and PROJECT in line for line in screen.said)
        assert not Path(os.environ["AIRFLEET_ROOT"], "secrets.yaml").exists()
        with session.opened("", doing="test", make_secrets=True) as fleet:
            assert (NEEDED, ()) == (set(fleet.secrets.present()), fleet.new_secrets)

    def test_none_is_invented_for_hosts_that_have_some(self, host, service):
        """A key that was taken out of the manager is not replaced: exit 8, nothing is added."""
        fill(service)
        del service.kept[PREFIX + "fernet_key"]
        host.states["file", "/home/airflow/airflow/airflow.cfg"] = {"sha256": "another"}
        with pytest.raises(GateRefused) as e:
            bring_up("", BootstrapWish(), Quiet())
        assert f"Secret Manager of {PROJECT} lacks fernet_key, but the hosts have them" in str(e.value)
        assert [] == service.values("fernet_key")


class Typed(NamedTuple):
    """What became of a command."""

    code: int
    out: str
    error: str


class TestCommands:
    """What an operator types."""

    @pytest.fixture
    def fab(self, served, service, tmp_path, monkeypatch, capsys):
        """Type a command; what comes is (exit code, what it printed, its error)."""
        (tmp_path / "inventory.yaml").write_text(yaml.safe_dump(INVENTORY))
        monkeypatch.setenv("AIRFLEET_ROOT", str(tmp_path))
        monkeypatch.setenv(EMULATOR, served[1])

        def typed(command, **options):
            code, error = 0, ""
            try:
                command(Context(), **options)
            except Exit as e:
                code, error = e.code, str(e)
            return Typed(code, capsys.readouterr().out, error)

        return typed

    @pytest.fixture
    def file(self, tmp_path):
        path = tmp_path / "secrets.yaml"
        path.write_text(f"database_password: hunter22\nfernet_key: {FERNET}\n")
        path.chmod(0o600)
        return path

    def test_what_the_file_has_is_pushed_once(self, fab, file, service):
        """A dry run says so, exit 10; what is the same is not uploaded again; a line break makes no difference."""
        service.give("fernet_key", FERNET + "\n")
        planned = fab(tasks.push, dry_run=True)
        assert (10, [("access", "database_password"), ("access", "fernet_key")]) == (
            planned.code,
            sorted(service.asked),
        )
        assert "database_password: is not there: would be uploaded" in planned.out
        done = [fab(tasks.push) for _ in range(2)]
        assert [0, 0] == [each.code for each in done]
        assert "version 1 of airfleet-database_password uploaded" in done[0].out
        assert "database_password: as airfleet-database_password has it" in done[1].out
        assert ([b"hunter22"], 1) == (service.values("database_password"), len(service.values("fernet_key")))
        said = "".join(each.out + each.error for each in (planned, *done))
        assert ("hunter22" in said, FERNET in said) == (False, False)

    def test_what_the_manager_has_comes_back(self, fab, file, service):
        """Into a file of mode 0600; never over another value: exit 8."""
        fill(service)
        refused = fab(tasks.pull)
        assert (8, "hunter22" in refused.error) == (refused.code, False)
        assert "has another database_password" in refused.error
        service.give("database_password", "hunter22")
        assert 0 == fab(tasks.pull).code
        assert NEEDED == set(yaml.safe_load(file.read_text()))
        assert 0o600 == file.stat().st_mode & 0o777
        assert "has them all" in fab(tasks.pull).out

    def test_check_says_where_each_comes_from(self, fab, service, monkeypatch):
        """Exit 2 while one is missing that has to be given, 8 where one may not be read; never a value."""
        fill(service)
        del service.kept[PREFIX + "database_password"]
        service.denied = {PREFIX + "webhook_url"}  # not needed: no matter
        monkeypatch.setenv("AIRFLEET_SECRET_REDIS_PASSWORD", "hunter22")
        missing = fab(tasks.check)
        assert 2 == missing.code
        assert f"Secret Manager of {PROJECT}: missing: database_password" in missing.error
        lines = missing.out.splitlines()
        assert "redis_password        environment: AIRFLEET_SECRET_REDIS_PASSWORD" in lines
        assert f"fernet_key            Secret Manager of {PROJECT}: airfleet-fernet_key, version 1" in lines
        assert "webhook_url           not there, and not needed" in lines
        service.denied = {PREFIX + "fernet_key"}
        denied = fab(tasks.check, json=True)
        assert 8 == denied.code
        (of,) = (each for each in json.loads(denied.out)["secrets"] if each["name"] == "fernet_key")
        assert "you may not read" in of["problem"]
        assert "hunter22" not in missing.out + missing.error + denied.out

    def test_check_of_a_file_and_of_one_that_is_in_order(self, fab, file, service, tmp_path):
        """The same command, whatever the provider."""
        fill(service)
        assert 0 == fab(tasks.check).code
        (tmp_path / "inventory.yaml").write_text(yaml.safe_dump({**INVENTORY, "secrets": {}}))
        done = fab(tasks.check)
        assert (0, "database_password     secrets.yaml") == (done.code, done.out.splitlines()[5])
        assert "secrets: {provider: gcp" in fab(tasks.push).error


def test_the_inventory_is_checked():
    """A project is needed, and a pin is of a secret that there is."""
    for changes, said in (
        ({"project": None}, "provider gcp needs `project`"),
        ({"versions": {"fernet": "1"}}, "unknown secret"),
        ({"versions": {"fernet_key": "newest"}}, "the number of a version"),
        ({"project": "Team"}, "the id of a project"),
    ):
        text = yaml.safe_dump({**INVENTORY, "secrets": {**INVENTORY["secrets"], **changes}})
        with pytest.raises(UsageError, match=said):
            parse(text, Path("inventory.yaml"))
    assert secret_manager.DEADLINE_S <= 30
