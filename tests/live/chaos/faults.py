"""What goes wrong at a step: how it is done to a booted machine, and how that is taken back."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from sandbox.machine import boot, kill

HOME = "/home/airflow/airflow"
CUT_S = 60  # how long a link is down
LONG_S = 240  # how long a store is away, at most: until the command has ended
SSHD = "systemctl reset-failed ssh.service; systemctl start ssh.service"
# AIRFLOW_HOME as it is, on a small file system that has no room left, in one moment; task logs stay where they are.
# (Private: what is mounted over AIRFLOW_HOME would else lie over the other way to its disk as well.)
FILL = f"""
old=/run/chaos-old new=/run/chaos-new
mkdir -p $old $new
mount --bind --make-private {HOME} $old
kb=$(( $(du -sk --exclude=logs {HOME} | cut -f1) + 1024 ))
mount -t tmpfs -o size=${{kb}}k airfleet-chaos $new
tar -C $old --exclude=./logs -cpf - . | tar -C $new -xpf -
mkdir -p $new/logs
mount --bind $old/logs $new/logs
head -c 1G /dev/zero > $new/.ballast 2>/dev/null || true
mount --rbind $new {HOME}
mount -t tmpfs -o size=4k,mode=1777 airfleet-chaos /tmp
head -c 8k /dev/zero > /tmp/.ballast 2>/dev/null || true
"""
# What was made of it goes back to the disk; what was started meanwhile has its files on the one that goes.
EMPTY = f"""
old=/run/chaos-old new=/run/chaos-new
mountpoint -q $new || {{ umount $old || true; exit 0; }}
for path in $(ls -A $old); do [ -e $new/$path ] || rm -rf $old/$path; done
tar -C $new --exclude=./logs --exclude=./.ballast -cpf - . | tar -C $old -xpf -
umount -l {HOME}
umount -l $new
umount -l $old
grep -q '^airfleet-chaos /tmp ' /proc/mounts && umount -l /tmp
rmdir $old $new
timeout 100 systemctl try-restart 'airflow-*' || true
"""


@dataclass
class Hit:
    """Where a fault strikes: the host of the step, that of Redis and the scheduler, and the operator's process."""

    installation: Any
    host: str
    core: str
    operator: subprocess.Popen

    def on(self, name, *argv, **more):
        return self.installation.on(name, *argv, **more)

    @property
    def site(self):
        return self.installation.site


class Fault:
    """One thing that goes wrong: `lasts_s` at most, or until the command has ended.

    `spares_tasks`: nothing that it does to the machines ends a task by itself, so that none may be lost.
    """

    name = ""
    lasts_s: float = LONG_S
    spares_tasks = False

    def strike(self, hit):
        """Do it; the operator's process stands still meanwhile."""

    def mend(self, hit):
        """Take it back; also when it was not done, or not wholly."""


class OperatorKilled(Fault):
    """The operator's process ends by SIGKILL."""

    name = "operator killed"
    spares_tasks = True

    def strike(self, hit):
        with suppress(ProcessLookupError):
            os.killpg(hit.operator.pid, signal.SIGKILL)


class SshdKilled(Fault):
    """sshd and all its connections end by SIGKILL on the host of the step; systemd starts it again."""

    name = "sshd killed"
    spares_tasks = True

    def strike(self, hit):
        hit.on(hit.host, "pkill", "-KILL", "^sshd", check=False)  # of the machine's own processes

    def mend(self, hit):
        hit.on(hit.host, "sh", "-c", SSHD, check=False)


class NetworkCut(Fault):
    """The host's cable is pulled for a minute."""

    name = "network cut"
    lasts_s = CUT_S

    def strike(self, hit):
        self._link(hit, "down")

    def mend(self, hit):
        self._link(hit, "up")

    def _link(self, hit, how):
        subprocess.run(["ip", "link", "set", f"vb-{hit.site.tagged(hit.host)}", how], check=True)


class Rebooted(Fault):
    """The host loses its power, and has it again at once."""

    name = "rebooted"
    lasts_s = 0

    def strike(self, hit):
        hit.on(hit.host, "sync")
        kill(hit.host, site=hit.site)

    def mend(self, hit):
        boot(hit.host, hit.site.machines()[hit.host].release, site=hit.site)


class DiskFull(Fault):
    """The file systems of AIRFLOW_HOME and of /tmp have no room left."""

    name = "disk full"

    def strike(self, hit):
        hit.on(hit.host, "sh", "-eu", stdin=FILL)

    def mend(self, hit):
        hit.on(hit.host, "sh", stdin=EMPTY)


class RedisStopped(Fault):
    """Redis is stopped."""

    name = "Redis stopped"

    def strike(self, hit):
        hit.on(hit.core, "systemctl", "stop", "redis-server.service")

    def mend(self, hit):
        hit.on(hit.core, "systemctl", "start", "redis-server.service")


class PostgresStopped(Fault):
    """PostgreSQL is stopped, beside the hosts."""

    name = "PostgreSQL stopped"

    def strike(self, hit):
        hit.on("svc", "systemctl", "stop", "postgresql")

    def mend(self, hit):
        hit.on("svc", "systemctl", "start", "postgresql")


class SchedulerFrozen(Fault):
    """The scheduler's processes stand still, and look alive."""

    name = "scheduler frozen"
    spares_tasks = True

    def strike(self, hit):
        self._signal(hit, "STOP")

    def mend(self, hit):
        self._signal(hit, "CONT")

    def _signal(self, hit, name):
        hit.on(hit.core, "systemctl", "kill", f"--signal={name}", "airflow-scheduler.service", check=False)


FAULTS = (
    OperatorKilled(),
    SshdKilled(),
    NetworkCut(),
    Rebooted(),
    DiskFull(),
    RedisStopped(),
    PostgresStopped(),
    SchedulerFrozen(),
)
NAMES = tuple(fault.name for fault in FAULTS)
