"""The flow of `fab secrets.rotate`: the phases of a rotation one after the other, each repeated until it is done."""

from __future__ import annotations

import secrets as randomness
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airfleet import airflow_cfg, bootstrap_run, gates, pending, records, rollout, rotations, scram, session, users
from airfleet import inventory as inventories
from airfleet import secrets as secret_store
from airfleet.agent import effective
from airfleet.checkup import vitals_words
from airfleet.desired import Target
from airfleet.errors import ChangesPending, FleetError, GateRefused, NotHealthy, RolloutStopped, UsageError
from airfleet.generations import generation_of
from airfleet.layout import layout_of
from airfleet.metadata import database_host, dsn
from airfleet.redis_access import USER
from airfleet.redis_conf import redis_address
from airfleet.rotate_gates import NOTHING, given, refuse
from airfleet.rotations import ADMIN, ROTATIONS
from airfleet.secret_forms import DROPPED, NEXT, PREVIOUS
from airfleet.standstill import Standstill

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airfleet.bootstrap_run import Screen
    from airfleet.model import Words
    from airfleet.remote import Host
    from airfleet.rotations import Phase
    from airfleet.secrets import Secret
    from airfleet.session import Fleet

SHOWN = 8
QUICK_S = 5
ELSEWHERE = {
    "deploy_key": "write the new key into the secrets file, then: fab bootstrap",
    "webhook_url": "write the new address into the secrets file: it is read by each command",
}


@dataclass(frozen=True)
class Wish:
    """What an operator may want of a rotation."""

    dry_run: bool = False
    from_stdin: bool = False
    max_wait_s: int = 3600


def rotate(env: str, name: str, wish: Wish, screen: Screen) -> None:
    """Give a secret another value, or go on with what was begun."""
    if name == ADMIN:
        _admin(env, wish, screen)
        return
    if name not in ROTATIONS:
        remedy = ELSEWHERE.get(name, f"one of: {', '.join([*ROTATIONS, ADMIN])}")
        what = f"{name} is not rotated by airfleet" if name in ELSEWHERE else f"there is no secret {name!r} to rotate"
        raise UsageError(what, place="secrets.rotate", remedy=remedy, state=NOTHING)
    with session.opened(env, doing=f"secrets.rotate {name}") as fleet:
        refuse(fleet, name)
        phases = rotations.remaining(fleet.secrets, name)
        _explain(fleet, name, phases, screen)
        if wish.dry_run:
            raise ChangesPending(
                f"{len(phases)} phases to come", place=name, remedy=f"fab secrets.rotate {name}", state=NOTHING
            )
        new = given(fleet, name) if wish.from_stdin else None
        fleet.connect()
        with fleet.locked():
            run = Rotation(fleet, name, screen, wish.max_wait_s)
            if not rotations.state_of(fleet.secrets, name):
                run.refuse()
            with records.recorded(fleet, records.entry("secrets.rotate", service=name), screen.say):
                run.go(phases, new)
        screen.say(f"done: {name} is another one, on every host; {fleet.secrets_path.name} has it", "bold green")


class Rotation:
    """One rotation; the lock is held. `fleet.secrets` is what the secrets file says, at any moment."""

    def __init__(self, fleet: Fleet, name: str, screen: Screen, max_wait_s: int) -> None:
        self.fleet = fleet
        self.name = name
        self.screen = screen
        self.max_wait_s = max_wait_s
        self.do: Mapping[str, Callable[[], None]] = {
            "converge": self._converge,
            "verify": self._verify,
            "encrypt": self._encrypt,
            "refused": self._refused,
            "drain": lambda: Standstill(fleet, screen, max_wait_s).drain(),
            "empty": lambda: Standstill(fleet, screen, max_wait_s).empty(),
            "alter": self._alter,
        }

    def refuse(self) -> None:
        """Refuse to begin where hosts are not in order, or something stored can't be read with the key of now."""
        inventory = self.fleet.inventory
        target = Target(inventory, self.fleet.secrets, gates.constraints_of(inventory))
        if left := pending.pending(target, self.fleet):
            more = f"\n    and {len(left) - SHOWN} more" if len(left) > SHOWN else ""
            raise GateRefused(
                "these hosts are not as the inventory has them:\n    " + "\n    ".join(left[:SHOWN]) + more,
                remedy=f"fab plan, then fab bootstrap; then {self._again}",
                state="nothing was changed",
            )
        if self.name == "fernet_key" and (unread := self._unread(self.fleet.secrets.fernet_key)["unread"]):
            raise GateRefused(
                f"the key of now can't read {_some(unread)}",
                place="fernet_key",
                remedy="delete or enter these anew, or put the key that can behind a comma, then fab bootstrap",
                state="nothing was changed",
            )

    def go(self, phases: tuple[Phase, ...], new: Secret | None) -> None:
        """Do the phases in order; before the first of each state the secrets file is brought to that state."""
        left = f"half done: {self._again} goes on"
        try:
            if not rotations.state_of(self.fleet.secrets, self.name):
                self._at(NEXT, new or rotations.new_value(self.name))
            for number, phase in enumerate(phases, 1):
                self.fleet.check_lock()
                self._at(phase.state)
                said = f"[{self.screen.elapsed_s:5.0f} s] phase {number} of {len(phases)}: {phase.says}"
                self.screen.say(said, "bold")
                self.do[phase.name]()
            self._at("")
        except KeyboardInterrupt:
            raise RolloutStopped("interrupted", place=self._again, state=left) from None
        except FleetError as e:
            e.state = "; ".join(filter(None, (e.state, left)))
            raise

    @property
    def _again(self) -> str:
        return f"fab secrets.rotate {self.name}"

    def _at(self, state: str, new: Secret | None = None) -> None:
        """Have the secrets file say how far it came, before anything is done that depends on it."""
        if rotations.state_of(self.fleet.secrets, self.name) != state:
            self.fleet.secrets = rotations.advanced(self.fleet.secrets, self.name, state, new)
            gone = [self.name + mark for mark in rotations.ORDER[1:] if mark != state]
            secret_store.save(self.fleet.secrets_path, self.fleet.secrets, gone)

    def _converge(self) -> None:
        bootstrap_run.converge_to(self.fleet, self.screen, self.max_wait_s, upgrading=False)

    def _verify(self) -> None:
        """Every host connects anew, and all its processes use the new value, also one with a drop-in of its own."""
        inventory, salt, wanted = self.fleet.inventory, randomness.token_hex(16), ROTATIONS[self.name].settings
        places = generation_of(inventory.airflow.version).places

        def work(host: Host) -> None:
            own = inventory.hosts[host.name]
            settings = airflow_cfg.settings(inventory, own, self.fleet.secrets)
            expected = {each: effective.digest(salt, settings[places[each][0]][places[each][1]]) for each in wanted}
            words = vitals_words(inventory, own, deep=True, salt=salt, now=time.time())
            if wrong := rotations.unverified(host.call("vitals", words), expected, wanted):
                raise NotHealthy(
                    "\n    ".join(wrong),
                    place=host.name,
                    remedy=f"mend that (fab doctor; systemctl cat UNIT shows a drop-in), then: {self._again}",
                )
            self.screen.probed(f"{host.name}: new connections are let in, every process has the new value")

        rollout.on_each(self.fleet.hosts, work, parallel=inventory.ssh.parallel)

    def _refused(self) -> None:
        inventory = self.fleet.inventory
        words: Words = {"host": redis_address(inventory), "port": inventory.redis.port, "timeout_s": QUICK_S}
        words["user"] = USER
        words["password"] = self.fleet.secrets[self.name + DROPPED].reveal()
        for name in inventory.with_role("redis"):
            answer: Any = self.fleet.hosts[name].call("probe_redis", words)
            if answer["ok"] or answer["reason"] != "password":
                raise NotHealthy(f"it was to refuse the old password: {answer['says']}", place=f"{name}: Redis")
            self.screen.probed(f"{name}: Redis refuses the old password")

    def _alter(self) -> None:
        known = self.fleet.secrets
        new = known[self.name + NEXT].reveal()
        now = dsn(self.fleet.inventory, known)
        words: Words = {"dsns": [now, {**now, "password": new}]}
        words["verifier"] = scram.verifier(new, randomness.token_bytes(16))
        try:
            self._once("role_password", words)
        except FleetError as e:
            e.state = "no task runs: fab bootstrap brings everything back with the password that the database has"
            raise
        self._at(PREVIOUS)
        self.screen.probed("the database lets Airflow's role in with the new password")

    def _encrypt(self) -> None:
        inventory = self.fleet.inventory
        env: Words = {"env": dict(airflow_cfg.environment(inventory))}
        command = list(generation_of(inventory.airflow.version).commands.rotate_fernet_key)
        self._once("fernet_encrypt", {**env, "command": command})
        new = self.fleet.secrets[self.name]
        found = self._unread(new, self.fleet.secrets.fernet_key)
        if found["mended"]:
            self.screen.say(f"  Airflow left out {found['mended']}, which were stored anew too", "yellow")
            found = self._unread(new)
        if found["unread"]:
            raise NotHealthy(
                f"neither key can read {_some(found['unread'])}",
                place=self.name,
                remedy=f"delete these or enter them anew, then: {self._again}",
            )
        self.screen.probed(f"all {found['stored']} encrypted values are under the new key")

    def _unread(self, keys: Secret, every: Secret | None = None) -> Any:
        words: Words = {"dsn": dsn(self.fleet.inventory, self.fleet.secrets), "keys": keys.reveal()}
        return self._once("fernet_unread", {**words, **({"all_keys": every.reveal()} if every else {})})

    def _once(self, call: str, words: Words) -> Any:
        """Ask the one host that does it for all."""
        inventory = self.fleet.inventory
        name = database_host(inventory)
        self.screen.step(name, (call.replace("_", " "), ""), "")
        means: Words = {"venv": layout_of(inventory).venv, "account": inventory.airflow.account}
        return self.fleet.hosts[name].call(
            call, {**means, **words}, lambda _, text: self.screen.step(name, ("", call), text)
        )


def _admin(env: str, wish: Wish, screen: Screen) -> None:
    """The first user's password is not kept by airfleet: it gets a new one as any user does."""
    username = inventories.load(inventories.path_of(env, session.inventories_root())).admin.username
    if wish.from_stdin:
        raise UsageError("is for secrets", place="--from-stdin", remedy=f"fab users.reset-password {username} --prompt")
    if wish.dry_run:
        screen.say(f"1. user {username} gets a new password, shown once; a login with it is tried")
        raise ChangesPending("1 phase to come", place=ADMIN, remedy=f"fab secrets.rotate {ADMIN}", state=NOTHING)
    users.reset_password(env, username, prompt=False, screen=screen)


def _explain(fleet: Fleet, name: str, phases: tuple[Phase, ...], screen: Screen) -> None:
    begun = rotations.state_of(fleet.secrets, name)
    verb = "goes on with the rotation of" if begun else "rotates"
    screen.say(f"{fleet.inventory.environment}: {verb} {name}:", "bold")
    for number, phase in enumerate(phases, 1):
        screen.say(f"  {number}. {phase.says}")
    screen.say(f"  note: {ROTATIONS[name].notice}", "yellow")


def _some(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
