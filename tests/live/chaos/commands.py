"""The commands that are disturbed: what is made wrong before each, and how one goes on after a failure."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any

from tests.live.conftest import THREE, TWO, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable

PARALLELISM = (31, 33)  # beside Airflow's own 32
SCHEDULER = "/etc/systemd/system/airflow-scheduler.service"
COUNT = count(1)
WELL_S = 300


@dataclass
class Ground:
    """An installation for the cells: `core` has Redis and the scheduler, `edge` is the last of the hosts."""

    installation: Any
    hosts: tuple[str, ...]
    push: Callable[[str], Any]
    api: Any = None
    turn: Any = field(default_factory=count)

    @property
    def core(self):
        return self.hosts[0]

    @property
    def edge(self):
        return self.hosts[-1]

    def bring(self, command):
        """Have as many workers on each host as the command's cells want."""
        self.installation.edit(lambda value: value.setdefault("celery", {}).update(instances=command.workers))
        self.fab("bootstrap", rc=0)

    def fab(self, *words, rc=None):
        return self.installation.fab(*words, rc=rc, timeout_s=3000)

    def in_order(self):
        return self.fab("plan").returncode == 0

    def well(self):
        """Wait until every service is well again: what is begun now meets nothing of the fault of before."""
        wait_for(lambda: self.fab("status").returncode == 0, "a status without a cause", WELL_S)


@dataclass(frozen=True)
class Command:
    """One command: `dirty` makes something for it to do, `ways` are what an operator types after it has failed.

    Each way is tried until everything is in order. `reset` leads back to where the next cell begins, from wherever.
    """

    words: tuple[str, ...]
    airflow: str = THREE
    dirty: Callable[[Ground], Any] = lambda ground: None
    reset: Callable[[Ground], Any] = lambda ground: ground.in_order() or ground.fab("bootstrap", rc=0)
    before: tuple[tuple[str, ...], ...] = ()  # once, before anything is disturbed
    drains: bool = True
    workers: int = 1  # on each host: where they are not what is looked at, more of them only take time

    @property
    def name(self):
        return " ".join(self.words)

    @property
    def ways(self):
        """The same again; else everything in order first."""
        return ((self.words,), (("bootstrap",), self.words))


class Upgrade(Command):
    """Behind the migration only the backup leads back."""

    @property
    def ways(self):
        back = (("bootstrap",), ("maintenance.off",))
        return ((self.words,), (*back, self.words), (("undo-upgrade", "latest"), self.words))


def dirty_bootstrap(ground):
    """Have something differ in every stage that can be mended within seconds."""
    wished = PARALLELISM[next(ground.turn) % 2]
    ground.installation.edit(lambda value: value["airflow"].update(config={"core": {"parallelism": wished}}))
    on = ground.installation.on
    on(ground.core, "dpkg", "--remove", "--force-all", "xz-utils")
    on(ground.core, "sed", "-i", "s/RestartSec=5s/RestartSec=9s/", SCHEDULER)
    on(ground.edge, "sh", "-c", "echo '# by hand' >> /home/airflow/dags/current/dags/hello.py")
    on(ground.core, "sh", "-c", "echo '# by hand' >> /etc/redis/redis.conf")
    on(ground.edge, "systemctl", "disable", "airflow-logs.service")


def clean_bootstrap(ground):
    """Take back what the cells wished for."""
    ground.installation.edit(lambda value: value["airflow"].pop("config", None))
    ground.installation.edit(lambda value: value.pop("celery", None))
    ground.fab("bootstrap", rc=0)


def undo_upgrade(ground):
    """Lead back to the Airflow of before."""
    ground.fab("undo-upgrade", "latest", rc=0)


COMMANDS = (
    Command(("bootstrap",), dirty=dirty_bootstrap),
    Command(("deploy",), dirty=lambda ground: ground.push(f"nothing new, {next(COUNT)}")),
    Command(("restart-workers",), workers=2),
    Command(("secrets.rotate", "redis_password")),
)
UPGRADE = Upgrade(
    ("upgrade", "--to", THREE),
    airflow=f"{TWO} → {THREE}",
    reset=undo_upgrade,
    before=(("upgrade", "--to", THREE, "--rehearse"),),
    drains=False,
)
