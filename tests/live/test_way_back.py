"""Changes that nobody confirms, on booted machines: each host goes back by itself. Everything here is real.

An ordinary run kills the operator; AIRFLEET_CHAOS=all (`make chaos`) breaks all that can be broken beside a change.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import time
from dataclasses import dataclass

import pytest

from airfleet.way_back_files import EVERY_S
from sandbox.machine import boot, kill, leader
from tests.live.conftest import SECOND, wait_for
from tests.live.team import CURRENT, both, currents

pytestmark = [pytest.mark.live, pytest.mark.timeout(3000)]

ALL = os.environ.get("AIRFLEET_CHAOS") == "all"
HOSTS = ("af1", "af2")
CONFIRM_S = 30
BOOT_S = 120
MARGIN_S = 30  # of two busy cores
VENV = "/home/airflow/.pyenv/versions/.venv"
NO_SSHD = "/etc/ssh/sshd_config.d/zz-broken.conf"
# By its first packet alone: a connection that is older than its tracking would count as new, and be cut off too.
NO_NEW_SSH = """
table inet shut {
  chain input { type filter hook input priority 0; tcp dport 22 tcp flags & (fin | syn | rst | ack) == syn drop; }
}
"""
FINGERPRINT = """
for p in /home/airflow/airflow/airflow.cfg /home/airflow/airflow/environment /home/airflow/airflow/*.py \
  /etc/systemd/system/airflow-*.service /etc/redis/redis.conf; do
  [ -e "$p" ] && sha256sum "$p" && stat -c '%U %G %a' "$p"
done
for p in /home/airflow/dags/current /home/airflow/.pyenv/versions/.venv; do readlink "$p"; stat -c '%U %G' "$p"; done
for p in $(ls /etc/systemd/system/multi-user.target.wants); do case "$p" in airflow-*|redis*) echo "$p";; esac; done
true
"""


def fingerprint(installation):
    """Return, for each host, all that is to be as it was: bytes, modes, owners, links, and what starts at boot."""
    return {name: installation.on(name, "sh", "-c", FINGERPRINT) for name in HOSTS}


def sshd(installation, *words):
    installation.on("af2", "systemctl", *words, "ssh.socket", check=False)
    installation.on("af2", "systemctl", *words, "ssh.service", check=False)


def nft(installation, rules):
    pid = str(leader("af2", site=installation.site))
    words = ["nsenter", "--target", pid, "--net", "--", "nft", "-f", "-"]
    subprocess.run(words, input=rules, text=True, check=True)


class Fault:
    """What goes wrong once the change is in place: `strike`; how that is mended, where it must be: `mend`.

    `command` is what the operator types, `wishes` what the inventory says by then; it is in place within `in_place_s`.
    """

    command = ("deploy",)
    wishes: dict = {}  # noqa: RUF012
    killed = False
    boots_s = 0
    in_place_s = 300

    def strike(self, installation):
        """Break it."""

    def mend(self, installation):
        """Take the fault itself away: the hosts have gone back by then."""


class Killed(Fault):
    """The operator's process ends by SIGKILL."""

    killed = True


class SshdShut(Fault):
    """No new connection is answered; the old ones stay."""

    def strike(self, installation):
        sshd(installation, "stop")

    def mend(self, installation):
        sshd(installation, "start")


class SshdConfigBroken(SshdShut):
    """sshd is restarted with a configuration that it does not understand."""

    def strike(self, installation):
        installation.on("af2", "tee", NO_SSHD, stdin="NoSuchSetting yes\n")
        sshd(installation, "restart")

    def mend(self, installation):
        installation.on("af2", "rm", "-f", NO_SSHD)
        sshd(installation, "reset-failed")
        sshd(installation, "restart")


class Firewall(Fault):
    """New connections to port 22 are dropped; those that are there go on."""

    def strike(self, installation):
        nft(installation, NO_NEW_SSH)

    def mend(self, installation):
        nft(installation, "delete table inet shut\n")


class VenvBroken(Fault):
    """The new environment loses Celery when the link leads to it."""

    command = ("bootstrap",)
    wishes = {"requirements": ["cowsay==6.1"]}  # noqa: RUF012
    in_place_s = 1200  # two environments are made first

    def strike(self, installation):
        move = f"cd {VENV}/lib/python3*/site-packages && mv celery celery.gone"
        installation.on("af1", "sh", "-c", move)


class DagsBroken(Killed):
    """The tree of the new release is emptied, and the operator is gone."""

    def strike(self, installation):
        for name in HOSTS:
            installation.on(name, "sh", "-c", f"find {CURRENT}/ -mindepth 1 -delete")


class ConfigurationBroken(Fault):
    """A setting that every Airflow knows and none can live with."""

    command = ("bootstrap",)
    wishes = {"config": {"logging": {"logging_config_class": "no.such.module"}}}  # noqa: RUF012


class Reboot(Killed):
    """A machine loses its power with the operator: the timer that is enabled comes again."""

    boots_s = BOOT_S

    def strike(self, installation):
        installation.on("af2", "sync")
        kill("af2", site=installation.site)

    def mend(self, installation):
        installation.machines["af2"] = boot("af2", SECOND[installation.airflow], site=installation.site)


@dataclass
class Change:
    """One change that nobody is to confirm: what was before, and what the operator was told."""

    before: dict
    rc: int
    said: str
    ended: float


FAULTS = [SshdShut, SshdConfigBroken, Firewall, VenvBroken, DagsBroken, ConfigurationBroken, Reboot]


@pytest.fixture
def quick(installation):
    """The installation, whose hosts wait half a minute; in order again at the end, and with the default."""
    installation.edit(lambda value: value.setdefault("ssh", {}).update(confirm_s=CONFIRM_S))
    yield installation
    installation.edit(lambda value: value["ssh"].pop("confirm_s"))
    installation.fab("bootstrap")


@contextlib.contextmanager
def wished(installation, wishes):
    """Have the inventory's section `airflow` say this as long as the block lasts."""
    old = {}
    installation.edit(lambda value: old.update(value["airflow"]) or value["airflow"].update(wishes))
    try:
        yield
    finally:
        installation.edit(lambda value: value.update(airflow=dict(old)))


def changed_by(installation, fault):
    """Begin the change, let the fault strike when it is in place on every host, and return how the command ended."""
    before = fingerprint(installation)
    with wished(installation, fault.wishes):
        operator = installation.start(*fault.command)

        def in_place():
            ended, now = operator.poll(), fingerprint(installation)
            there = all(now[name] != before[name] for name in HOSTS)
            assert there or ended is None, operator.stdout.read()
            return there

        try:
            wait_for(in_place, "the change on every host", fault.in_place_s)
            if fault.killed:
                os.killpg(operator.pid, signal.SIGKILL)
            fault.strike(installation)
            said = operator.stdout.read()
            rc = operator.wait(timeout=600)
        finally:
            if operator.poll() is None:
                os.killpg(operator.pid, signal.SIGKILL)
                operator.wait()
    return Change(before, rc, said, time.monotonic())


@pytest.mark.parametrize(
    "fault",
    [
        Killed,
        *(
            pytest.param(each, marks=pytest.mark.skipif(not ALL, reason="only `make chaos` breaks all the rest"))
            for each in FAULTS
        ),
    ],
)
def test_what_nobody_confirms_is_taken_back(quick, team, fault):
    """In the promised time every host is byte for byte what it was; no success anywhere; the history has it."""
    striking = fault()
    before = currents(quick)
    commit = team.push(f"with {fault.__name__} behind it") if fault.command == ("deploy",) else before["af1"]
    change = changed_by(quick, striking)
    print(f"{fault.__name__}: rc {change.rc}\n{change.said[-3000:]}")
    assert change.rc != 0
    assert not re.search("^done:", change.said, re.MULTILINE)  # (what stopped names what it has done until then)
    if not fault.killed:
        assert "go back by themselves by " in change.said
    if fault.boots_s:
        striking.mend(quick)
    promised_s = CONFIRM_S + EVERY_S + MARGIN_S + fault.boots_s
    try:
        wait_for(lambda: fingerprint(quick) == change.before, "the way back", promised_s)
        print(f"{fault.__name__}: back {time.monotonic() - change.ended:.1f} s after the operator's end")
    finally:
        if not fault.boots_s:
            striking.mend(quick)
    assert currents(quick) == before
    wait_for(lambda: only_went_back(quick), "all services on what was before", 240)
    lines = [line for line in quick.fab("history", "--limit", "3").stdout.splitlines() if "went back" in line]
    assert [
        re.search(r"af[12] as it was before", line)[0][:3] for line in sorted(lines, key=lambda x: x.split()[1])
    ] == [
        "af1",
        "af2",
    ]
    assert all("nobody confirmed" in line for line in lines)
    assert "went back at" in quick.fab("status", rc=None).stdout
    said = quick.fab("deploy").stdout
    assert "confirmed over new connections: af1, af2" in said
    assert currents(quick) == both(commit)
    assert quick.fab("plan").stdout.startswith("in order")


def only_went_back(installation):
    """Tell whether nothing is pending but a look at why each host went back: every process runs on what was before."""
    done = installation.fab("plan", rc=None)
    if done.returncode != 10:
        return False
    changes = [line.strip() for line in done.stdout.splitlines() if line.startswith("    ")]
    return len(changes) == len(HOSTS) and all(line.startswith("- went back: at ") for line in changes)
