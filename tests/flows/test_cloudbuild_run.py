"""The steps of examples/cloudbuild.yaml, run: a clone, uv from the lock, and the real `fab deploy` over real SSH."""

from __future__ import annotations

import copy
import io
import shutil
import stat
import subprocess
from pathlib import Path

import paramiko
import pytest
import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sshd import Sshd

from tests import cloudbuild_runner
from tests.cloudbuild_runner import Place

pytestmark = pytest.mark.skipif(bool(why := cloudbuild_runner.possible("git", "ssh")), reason=why)

ROOT = Path(__file__).resolve().parents[2]
BUILD = cloudbuild_runner.load(ROOT / "examples" / "cloudbuild.yaml")
PARTS = ("airfleet", "tasks", "templates", "fabfile.py", "pyproject.toml", "uv.lock")
COMMIT = "0123456789abcdef0123456789abcdef01234567"
INVENTORY = """
ssh: {{user: root, port: {port}, connect_timeout_s: 20}}
airflow: {{constraints: constraints.txt}}
database: {{host: 127.0.0.1}}
dags: {{repository: "https://git.internal/data/dags.git"}}
hosts:
  af1: {{address: 127.0.0.1, roles: [redis, webserver, scheduler, triggerer, worker, flower]}}
"""
SECRETS = {
    **{name: f"the-{name}-nobody-may-see" for name in ("redis_password", "webserver_secret_key", "flower_password")},
    "fernet_key": "W7RrYxTzpv8aTyp4JNyp-Wq-Oc7oJN0i5tZpJyDhW5g=",
    "database_password": "the-database-password-nobody-may-see",
}


def new_key() -> str:
    form = serialization.PrivateFormat.OpenSSH
    made = Ed25519PrivateKey.generate()
    return made.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()


KEY = new_key()


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """The folder of the repository that has the inventory."""
    return tmp_path_factory.mktemp("repository")


@pytest.fixture(scope="module")
def host(source, tmp_path_factory):
    """An SSH server whose commands run as root of a machine that has that repository, and nothing else.

    What they write there goes with them.
    """
    bare = Place(tmp_path_factory.mktemp("host"), [source])
    public = paramiko.Ed25519Key.from_private_key(io.StringIO(KEY))
    with Sshd("root", public, lambda command: bare.words(["sh", "-c", command], folder="/")) as sshd:
        yield sshd


@pytest.fixture(scope="module")
def secrets(host):
    return {
        "airfleet-git-key": KEY,
        "airfleet-ssh-key": KEY,
        "airfleet-known-hosts": host.line,
        "airfleet-secrets": yaml.safe_dump(SECRETS),
    }


@pytest.fixture(scope="module")
def substitutions(host, source):
    """What a trigger gives: the repository is one of airfleet with an inventory in it, behind SSH."""
    for name in PARTS:
        path = ROOT / name
        (shutil.copytree if path.is_dir() else shutil.copy)(path, source / name)
    (source / "inventory.yaml").write_text(INVENTORY.format(port=host.port))
    (source / "inventory.staging.yaml").write_text(INVENTORY.format(port=host.port))
    (source / "constraints.txt").write_text("celery==5.6.2\n")
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "init.defaultBranch=main"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "all"]):
        subprocess.run([*git, *words], cwd=source, check=True)
    return {
        "_AIRFLEET": f"ssh://root@127.0.0.1:{host.port}{source}",
        "COMMIT_SHA": COMMIT,
        "BUILD_ID": "b-1",
        "PROJECT_ID": "demo",
    }


@pytest.fixture(scope="module")
def place(substitutions, secrets, tmp_path_factory):
    """A build in which the steps before the deploy have run."""
    place = Place(tmp_path_factory.mktemp("build"))
    found = cloudbuild_runner.run(BUILD, place, substitutions, secrets, steps=("airfleet", "install"))
    if found[-1].code and found[-1].id == "install":
        pytest.skip(f"the registry can't be reached from here: {found[-1].output.splitlines()[-1:]}")
    assert [(each.id, each.code) for each in found] == [("airfleet", 0), ("install", 0)], found[-1].output
    return place


@pytest.fixture
def deploy(place, substitutions, secrets, host):
    """Run the last step, with these secrets or substitutions in place of others."""

    def deploy(known_hosts="", ssh_key="", secrets=secrets["airfleet-secrets"], **more):
        shutil.rmtree(place.home / ".ssh", ignore_errors=True)
        host.asked.clear()
        given = {
            "airfleet-git-key": "gone",
            "airfleet-ssh-key": ssh_key or KEY,
            "airfleet-known-hosts": known_hosts or host.line,
            "airfleet-secrets": secrets,
        }
        (done,) = cloudbuild_runner.run(BUILD, place, {**substitutions, **more}, given, steps=("deploy",))
        return done

    return deploy


def test_the_key_that_reads_the_repository_is_gone_after_its_step(place, secrets):
    """Nothing of it is in the workspace, where the packages' own code will run."""
    assert sorted(path.name for path in place.workspace.iterdir()) == [".airfleet", ".uv"]
    line = secrets["airfleet-git-key"].splitlines()[1].encode()
    files = [path for path in place.workspace.rglob("*") if path.is_file() and path.stat().st_size < 100_000]
    assert [path for path in files if line in path.read_bytes()] == []


def test_the_deploy_reaches_the_host_with_the_key_of_the_step(deploy, host):
    """The real `fab`, the real agent on a host without Airflow: its exit code is the step's."""
    done = deploy()
    assert (done.code, len(host.asked) > 0) == (5, True), done.output
    assert "af1: there is no mirror" in done.output


def test_what_is_written_is_for_its_owner_alone(deploy, place):
    """The key, the host keys and the secrets file: 0600; the folder 0700."""
    deploy()
    written = [place.home / ".ssh" / "id_ed25519", place.home / ".ssh" / "known_hosts"]
    written.append(place.workspace / ".airfleet" / "secrets.yaml")
    assert [stat.S_IMODE(path.stat().st_mode) for path in written] == [0o600] * 3
    assert stat.S_IMODE((place.home / ".ssh").stat().st_mode) == 0o700
    assert written[0].read_text() == f"{KEY}\n"


OTHER = paramiko.ECDSAKey.generate()


@pytest.mark.parametrize(
    ("change", "code", "says"),
    [
        ({"known_hosts": "other.example.com ssh-ed25519 AAAA"}, 3, "is unknown"),
        (
            {"known_hosts": f"[127.0.0.1]:PORT {OTHER.get_name()} {OTHER.get_base64()}"},
            3,
            "is not the one that is trusted",
        ),
        ({"ssh_key": new_key()}, 3, "refuses the login"),
        ({"secrets": "fernet_key: short"}, 2, "is not a Fernet key"),
    ],
)
def test_a_wrong_secret_is_a_failed_build_and_no_command(deploy, host, change, code, says):
    """An unknown host key, another one, a key that nobody knows, a secrets file that is none: each by its exit code."""
    done = deploy(**{name: value.replace("PORT", str(host.port)) for name, value in change.items()})
    assert (done.code, host.asked) == (code, []), done.output
    assert says in done.output


def test_a_git_server_with_another_key_is_refused(substitutions, secrets, tmp_path):
    """Before anything of it is run; nothing was cloned."""
    given = {**secrets, "airfleet-known-hosts": "other.example.com ssh-ed25519 AAAA"}
    (done,) = cloudbuild_runner.run(BUILD, Place(tmp_path), substitutions, given, steps=("airfleet",))
    assert (done.code, "Host key verification failed" in done.output) == (128, True), done.output


def test_another_environment_has_its_own_secrets_file(deploy, place):
    """`_AIRFLEET_ENV` chooses inventory and secrets together."""
    assert deploy(_AIRFLEET_ENV="staging").code == 5
    assert (place.workspace / ".airfleet" / "secrets.staging.yaml").is_file()


def ending(last):
    """Return the build with another last line in its last step."""
    build = copy.deepcopy(BUILD)
    lines = build["steps"][-1]["args"][-1].splitlines()
    build["steps"][-1]["args"][-1] = "\n".join([*lines[:-1], last])
    return build


def test_fab_is_started_without_a_secret_in_its_environment(place, substitutions, secrets):
    """Its children, and what /proc shows of it, have none; who it is for the lock and the history is there."""
    (done,) = cloudbuild_runner.run(ending("exec env"), place, substitutions, secrets, steps=("deploy",))
    variables = dict(line.split("=", 1) for line in done.output.splitlines() if "=" in line)
    assert (variables["LOGNAME"], variables["COMMIT"]) == ("cloud-build-b-1", COMMIT)
    assert not {"SSH_KEY", "KNOWN_HOSTS", "SECRETS", "GIT_KEY"} & set(variables)


def test_the_runner_sees_a_secret_in_the_log(place, substitutions, secrets):
    """A step that prints one is found out."""
    with pytest.raises(AssertionError, match="a secret is in the log of deploy"):
        cloudbuild_runner.run(ending('cat "$$HOME/.ssh/id_ed25519"'), place, substitutions, secrets, steps=("deploy",))


def test_the_workflows_deploy_is_the_same_and_leaves_nothing(place, secrets, host):
    """Its script, as GitHub starts it: the same exit code, and the runner, which outlives it, keeps no secrets file."""
    document = yaml.safe_load((ROOT / "examples" / "github-actions.yaml").read_text())
    step = document["jobs"]["deploy"]["steps"][-1]
    names = {"SSH_KEY": "airfleet-ssh-key", "KNOWN_HOSTS": "airfleet-known-hosts", "SECRETS": "airfleet-secrets"}
    assert set(names) <= set(step["env"])
    env = {"COMMIT": COMMIT, "LOGNAME": "github-1", **{name: secrets[secret] for name, secret in names.items()}}
    argv = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"] + "\n"]
    done = place.run(argv, env, folder="/workspace/.airfleet")
    assert (done.returncode, "there is no mirror" in done.stdout) == (5, True), done.stdout
    assert not (place.workspace / ".airfleet" / "secrets.yaml").exists()
