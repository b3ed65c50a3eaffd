"""Booted machines and one installation that the live tests share: `fab bootstrap` runs once, watched all the while."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import pytest
import yaml

from airfleet.generations import generation_of
from sandbox.fleet import down, up
from sandbox.machine import boot, destroy, leader, run_in
from sandbox.site import REPOSITORY, Machine, Site
from tests.live.team import Team
from tests.live.watch import Watch
from tests.live.web import Api

FAB = Path(sys.executable).with_name("fab")
ENV = "live"
# Which Airflow a test is run on. An ordinary run takes each module on one of them, what has the mark `both` on both, so
# that their two processes have about as much to do. AIRFLEET_TEST_AIRFLOW names another one, or `all`.
TWO, THREE = "2.11.2", "3.3.2"
ASKED = os.environ.get("AIRFLEET_TEST_AIRFLOW", "")
RUN_ON = {
    "test_api_server": (THREE,),
    "test_backup": (TWO,),
    "test_bucket": (THREE,),
    "test_bootstrap": (TWO,),
    "test_chaos": (THREE,),
    "test_cloud_sql": (THREE,),
    "test_cloudbuild": (THREE,),
    "test_deploy": (TWO,),
    "test_drills": (TWO,),
    "test_eyes": (THREE,),
    "test_hardening": (TWO,),
    "test_ledger": (TWO,),
    "test_logs": (THREE,),
    "test_maintenance": (TWO,),
    "test_refusals": (TWO,),
    "test_releases": (TWO,),
    "test_rotate": (THREE,),
    "test_soak": (THREE,),
    "test_system_python": (TWO,),
    "test_tls": (THREE,),
    "test_upgrade": (THREE,),
    "test_users": (THREE,),
    "test_way_back": (THREE,),
    "test_workers": (THREE,),
}
# What the second host is. One installation has two kinds of hosts, and a Python that pyenv builds; the other, on which
# most tests are run, has Debian 12 alone, and the distribution's Python, so that it is there in minutes.
SECOND = {TWO: "bookworm", THREE: "trixie"}
# With so few to remember Flower fills up within a soak, by about the thousandth task, and not after hours.
FLOWER_TASKS = 200
# Two runs on one computer need two names; so do the processes of one run (pytest-xdist), each with a fleet of its own.
PROCESS = os.environ.get("PYTEST_XDIST_WORKER", "").removeprefix("gw")
SITE_TAG = os.environ.get("AIRFLEET_TEST_TAG", "l") + PROCESS
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell that started the tests in the background has them, and what they start, ignore Ctrl-C; no terminal does.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_generate_tests(metafunc):
    """Run what needs an installation on each Airflow that is meant."""
    if "airflow" in metafunc.fixturenames:
        both = metafunc.definition.get_closest_marker("both")
        chosen = (TWO, THREE) if both else RUN_ON.get(metafunc.module.__name__.rpartition(".")[2], (TWO, THREE))
        versions = {"": chosen, "all": (TWO, THREE)}.get(ASKED, (ASKED,))
        metafunc.parametrize("airflow", versions, indirect=True, scope="session")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Run these last: a soak changes secrets, and an outage that is measured lasts longer while others install.

    Tests stay with their installation: pytest itself puts those of one Airflow together after this.
    """
    last = ("test_soak", "test_api_server")
    items.sort(key=lambda item: last.index(item.path.stem) if item.path.stem in last else -1)


@pytest.fixture(scope="session")
def airflow(request):
    """The version of Airflow that the installation has."""
    return request.param


@dataclass
class Installation:
    """The test machines of one inventory, and the operator's commands against them."""

    site: Site
    machines: dict[str, Machine]
    env: str = ENV
    airflow: str = TWO
    environ: dict[str, str] = field(default_factory=dict)

    @property
    def inventory(self) -> Path:
        return self.site.root / f"inventory.{self.env}.yaml"

    @property
    def web(self) -> str:
        """The address of the web pages."""
        return f"http://{self.machines['af1'].address}"

    @property
    def web_service(self) -> str:
        """The service that has them."""
        return generation_of(self.airflow).web.name

    @property
    def secrets(self) -> Path:
        return self.site.root / f"secrets.{self.env}.yaml"

    def command(self, *words: str) -> list[str]:
        return [str(FAB), *words, "--env", self.env]

    def environment(self) -> dict[str, str]:
        return {**os.environ, "AIRFLEET_ROOT": str(self.site.root), **self.environ}

    def fab(self, *words: str, rc: int | None = 0, timeout_s: float = 1500) -> subprocess.CompletedProcess[str]:
        """Run a command as an operator would; its exit code is checked unless `rc` is None."""
        done = subprocess.run(
            self.command(*words),
            cwd=REPOSITORY,
            env=self.environment(),
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=timeout_s,
        )
        said = f"rc {done.returncode}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
        assert rc is None or done.returncode == rc, said
        return done

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Start a command in a session of its own, to be watched or killed."""
        return subprocess.Popen(
            self.command(*words),
            cwd=REPOSITORY,
            env=self.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )

    def locked(self) -> bool:
        """Tell whether somebody has the lock; to try to take it would refuse it to whoever wants it just then."""
        has = 'inode=$(stat -c %i /run/airfleet.lock) && grep -q ":$inode " /proc/locks && echo yes'
        return self.on("af1", "sh", "-c", has, check=False) == "yes\n"

    def on(self, name: str, *argv: str, check: bool = True, stdin: str = "") -> str:
        """Run something as root on a machine, not over SSH, and return what it printed."""
        return run_in(name, argv, check=check, stdin=stdin, site=self.site).stdout

    def stream(self, name: str, *argv: str) -> subprocess.Popen[str]:
        """Start something as root on a machine whose output is read as it comes; whoever starts it ends it."""
        words = ["nsenter", "--target", str(leader(name, site=self.site)), "--mount", "--uts", "--ipc", "--net", "--"]
        return subprocess.Popen([*words, *argv], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)

    def edit(self, change) -> None:
        """Change the inventory: `change` gets it as plain values."""
        value = yaml.safe_load(self.inventory.read_text())
        change(value)
        self.inventory.write_text(yaml.safe_dump(value, allow_unicode=True, sort_keys=False))

    def secret_values(self) -> dict[str, str]:
        return yaml.safe_load(self.secrets.read_text())


def wait_for(condition, what, timeout_s=90.0):
    """Return the first true value of the condition, or fail saying what was waited for."""
    deadline = time.monotonic() + timeout_s
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"waited {timeout_s:.0f} s in vain: {what}"
        time.sleep(0.1)


@pytest.fixture(scope="session")
def site():
    """A site of the tests' own, beside whatever sandbox runs already; images and caches are shared."""
    root = REPOSITORY / ".sandbox" / f"tests{PROCESS}"
    root.mkdir(parents=True, exist_ok=True)
    made = Site(root=root, state=root / "state", tag=SITE_TAG)
    down(site=made, say=lambda _: None)
    yield made
    if not os.environ.get("AIRFLEET_KEEP"):
        down(site=made, say=lambda _: None)


@contextlib.contextmanager
def one_at_a_time():
    """Let one process at a time do the block: the second finds the images that the first has built."""
    with (REPOSITORY / ".sandbox" / "tests.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="session")
def bare(site, airflow):
    """Two bare hosts, one with every role and one as a worker, svc beside them, and nothing on them yet."""
    down(site=site, say=lambda _: None)
    with one_at_a_time():
        machines = dict(up(site=site, airflow=airflow, say=lambda _: None))
        machines["af2"] = boot("af2", SECOND[airflow], site=site)
    made = Installation(site, machines, airflow=airflow)
    value = yaml.safe_load(site.inventory.read_text())
    value["environment"] = ENV
    value["airflow"]["constraints"] = str(REPOSITORY / value["airflow"]["constraints"])
    if airflow == TWO:
        value["airflow"]["python"] = "system"
        value.pop("pyenv", None)
    value["flower"] = {"max_tasks": FLOWER_TASKS}
    value["hosts"]["af2"] = {"address": machines["af2"].address, "roles": ["worker"]}
    made.inventory.write_text(yaml.safe_dump(value, sort_keys=False))
    made.secrets.touch(0o600)
    made.secrets.write_text(site.secrets.read_text())
    return made


@dataclass
class First:
    """The first bootstrap: the installation, what it printed, and what was seen meanwhile."""

    installation: Installation
    output: str
    seconds: float
    watch: Watch
    plan: str

    @property
    def password(self) -> str:
        return re.search(r"password: (\S+)", self.output)[1]

    @cached_property
    def api(self) -> Api:
        """Airflow's REST API, as the first user."""
        return Api(self.installation.web, "admin", self.password, self.installation.airflow)


@pytest.fixture(scope="session")
def first(bare):
    """The hosts after their first `fab bootstrap`, with all that was seen of it."""
    plan = bare.fab("plan", rc=10).stdout
    began = time.monotonic()
    watch = Watch(lambda: {n: v for n, v in bare.secret_values().items() if n != "deploy_key"})
    with watch:
        done = bare.fab("bootstrap", rc=None)
    assert done.returncode == 0, f"rc {done.returncode}\n{done.stdout[-6000:]}\n{done.stderr[-4000:]}"
    return First(bare, done.stdout, time.monotonic() - began, watch, plan)


@pytest.fixture
def installation(first):
    """The installation, in order; a test that breaks something mends it by `fab bootstrap`, as operators do."""
    return first.installation


@pytest.fixture(scope="module")
def team(first, tmp_path_factory):
    """The people who push DAGs; what they pushed is taken back and deployed at the end of a module."""
    made = Team(first.installation, tmp_path_factory.mktemp("team") / "dags")
    yield made
    made.restore()
    first.installation.fab("deploy", "--restart", "changed")


@pytest.fixture
def scratch(site, request):
    """Boots further bare machines for one test and takes them away after it."""
    made = []

    def make(name, release="bookworm"):
        machine = boot(name, release, site=site)
        made.append(name)
        return machine

    yield make
    for name in made:
        destroy(name, site=site)
