"""One command's session: the inventory, the secrets, the connections and the lock; all closed, whatever happens."""

from __future__ import annotations

import os
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from airfleet import ahead, sending
from airfleet.address import Address
from airfleet.batches import replaceable
from airfleet.choice import chosen
from airfleet.errors import FleetError, HostUnreachable, LockHeld, RolloutStopped
from airfleet.failures import Failures
from airfleet.inventory_file import path_of, secrets_beside
from airfleet.remote import SshHost, local_user

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from airfleet import inventory as inventories
    from airfleet.inventory import Inventory
    from airfleet.model import Facts, Resource
    from airfleet.remote import Host
    from airfleet.secrets import Secrets

ROOT = Path(__file__).resolve().parent.parent
PING_S = 10
LOCK_POLL_S = 1


class _Asker:
    """Asks for the sudo password once, for all hosts."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._answer: str | None = None

    def __call__(self, host: str) -> str:
        with self._lock:
            if self._answer is None:
                self._answer = _ask(host)
            return self._answer


def _ask(host: str) -> str:
    import getpass
    import sys

    if not sys.stdin.isatty():
        raise HostUnreachable(
            "sudo wants a password there, and there is no terminal to ask for it",
            place=host,
            remedy="run it in a terminal; or let the login user use sudo, or NOPASSWD in sudoers",
        )
    return getpass.getpass(f"[sudo] password on {host} (and all others): ")


@dataclass
class Fleet:
    """The hosts that one command works on, and all that it knows about them.

    `hosts` are those that are worked on; one that has failed and may be done without (`failures`) leaves them.
    `afterwards` is what is left to do once the lock has been given back: nobody is to wait for it.
    """

    inventory: Inventory
    hosts: dict[str, Host]
    everyone: dict[str, Host]
    secrets: Secrets
    secrets_path: Path
    doing: str
    path: Path = Path("inventory.yaml")
    new_secrets: tuple[str, ...] = ()
    ask_password: Callable[[str], str] = field(default_factory=_Asker)
    failures: Failures = field(default_factory=Failures)
    afterwards: list[Callable[[], None]] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _lock_lost: threading.Event = field(default_factory=threading.Event)

    def connect(self, begun: Collection[Host] = ()) -> None:
        """Begin to connect to every host, in the background: what there is to compute meanwhile costs no time.

        At the end an agent waits on each for the first request; where that has begun already, it is not begun again.
        """
        first = islice(self.hosts.values(), self.inventory.ssh.parallel)
        _connect(host for host in first if host not in begun)

    def look(self, wanted: Mapping[str, Sequence[Resource]]) -> dict[str, Facts]:
        """Return what is on each host: one round trip each, all at the same time."""
        from airfleet import rollout  # imported while the hosts answer

        return rollout.look(self.hosts, wanted, parallel=self.inventory.ssh.parallel, failures=self.failures)

    def bear(self, limit: int, say: Callable[[str, str], None]) -> None:
        """Go on when up to so many hosts fail or can't be reached: each is named to `say` and left out from then on."""
        self.failures = Failures(limit, replaceable(self.inventory), self.hosts, say)

    @contextmanager
    def locked(self, *, wait_s: float = 0, say: Callable[[str], None] = print) -> Iterator[None]:
        """Hold the installation's lock, on the first host of the inventory, or raise LockHeld naming who has it.

        Somebody else is waited for at most `wait_s` seconds, and `say` is told who that is.
        """
        first = next(iter(self.everyone.values()))
        words = {
            "who": local_user(),
            "doing": self.doing,
            "since": datetime.now(UTC).isoformat(timespec="seconds"),
            "pid": os.getpid(),
        }
        deadline, told = time.monotonic() + wait_s, ""
        while isinstance(held_by := first.hold(dict(words))["held_by"], dict) and time.monotonic() < deadline:
            holder = f"{held_by.get('who')}, who is at work here: {held_by.get('doing')}, since {held_by.get('since')}"
            if holder != told:
                say(f"waiting for {holder} (at most {wait_s:.0f} s; Ctrl-C is safe)")
                told = holder
            time.sleep(LOCK_POLL_S)
        if isinstance(held_by, dict):
            raise LockHeld(
                f"{held_by.get('who')} is at work here: {held_by.get('doing')}, since {held_by.get('since')}",
                place=self.inventory.environment,
                remedy="wait until it is done; the lock goes with its holder's connection, nothing needs to be removed",
            )
        keeper = threading.Thread(target=self._keep, args=(first,), daemon=True)
        keeper.start()
        try:
            yield
        finally:
            self._stop.set()

    def _keep(self, first: Host) -> None:
        ping = getattr(first, "ping", lambda: True)
        while not self._stop.wait(PING_S):
            if not ping():
                self._lock_lost.set()
                return

    def add(self, name: str, host: inventories.Host) -> None:
        """Take a host in that the inventory does not have, and work on it alone."""
        hosts = {**self.inventory.hosts, name: host}
        self.inventory = self.inventory.model_copy(update={"hosts": hosts})
        self.everyone[name] = SshHost(name, _address(self.inventory, name), self.ask_password)
        self.hosts = {name: self.everyone[name]}

    def anew(self, name: str) -> Host:
        """Return a host once more, to be connected to anew; whoever asks for it closes it."""
        return SshHost(name, _address(self.inventory, name), self.ask_password)

    def check_lock(self) -> None:
        """Raise RolloutStopped when the lock has gone with a lost connection: somebody else may be at work by now."""
        if self._lock_lost.is_set():
            raise RolloutStopped(
                "the connection that held the lock was lost", place=self.inventory.environment, remedy="run it again"
            )

    def close(self) -> None:
        """End every connection."""
        self._stop.set()
        _close(self.everyone.values())

    def finish(self) -> None:
        """End every connection, the lock's too; then do what was left for afterwards."""
        self.close()
        while self.afterwards:
            self.afterwards.pop(0)()


@contextmanager
def opened(
    env: str,
    *,
    doing: str,
    only: str = "",
    make_secrets: bool = False,
    connect: bool = False,
    root: Path | None = None,
) -> Iterator[Fleet]:
    """Open a session with the hosts of an inventory; `only` chooses some of them, comma separated.

    Connections are made when a host is first asked; with `connect` at once to every host, in the background. With
    `make_secrets` those that can be generated are, in memory.
    """
    path, ask = path_of(env, root or inventories_root()), _Asker()
    memory = ahead.Memory(path, os.environ)
    early = {name: SshHost(name, place, ask) for name, place in memory.places.items()} if connect and not only else {}
    _connect(early.values())
    try:
        fleet = _read(path, memory, early, ask, only=only, make_secrets=make_secrets, doing=doing)
    except BaseException:
        _close(early.values())
        raise
    try:
        if connect:
            fleet.connect(early.values())
        yield fleet
    finally:
        fleet.finish()


def _read(
    path: Path,
    memory: ahead.Memory,
    early: Mapping[str, Host],
    ask: _Asker,
    *,
    only: str,
    make_secrets: bool,
    doing: str,
) -> Fleet:
    """Read and check the inventory and the secrets; of the early hosts those are taken that it really has."""
    from airfleet import inventory as inventories
    from airfleet import secrets as secret_store
    from airfleet.secret_origins import generated_for, load

    inventory = inventories.load(path)
    inventories.refuse_examples(inventory)
    names = chosen(inventory, only, path.name)
    secrets_path = secrets_beside(path)
    secrets = load(inventory, secrets_path, os.environ)
    made: tuple[str, ...] = ()
    if make_secrets:
        before = secrets
        secrets = secret_store.complete(secrets, generated_for(inventory.airflow.version))
        made = tuple(sorted(set(secrets.present()) - set(before.present())))
    places = {name: _address(inventory, name) for name in inventory.hosts}
    if inventory.secrets.provider == "file":  # else whoever reads them contacts somebody
        first = dict(islice(places.items(), inventory.ssh.parallel))
        memory.keep(first, [file for file in (inventory.database.ca, inventory.tls.certificate) if file])
    same = {name: host for name, host in early.items() if places.get(name) == memory.places[name]}
    _close(host for name, host in early.items() if name not in same)
    everyone: dict[str, Host] = {name: same.get(name) or SshHost(name, place, ask) for name, place in places.items()}
    return Fleet(
        inventory=inventory,
        hosts={name: everyone[name] for name in names},
        everyone=everyone,
        secrets=secrets,
        secrets_path=secrets_path,
        path=path,
        doing=doing,
        new_secrets=made,
        ask_password=ask,
    )


def inventories_root() -> Path:
    """Return the folder of the inventories and secrets: AIRFLEET_ROOT, else the one that this package is in."""
    return Path(os.environ.get("AIRFLEET_ROOT") or ROOT)


def _connect(hosts: Iterable[Host]) -> None:
    for host in hosts:
        threading.Thread(target=_begin, args=(host,), daemon=True).start()
    sending.program()  # packed while the hosts answer


def _close(hosts: Iterable[Host]) -> None:
    for host in hosts:
        host.close()


def _begin(host: Host) -> None:
    with suppress(FleetError):  # whoever asks the host next gets the same error
        host.open()


def _address(inventory: Inventory, name: str) -> Address:
    ssh, host = inventory.ssh, inventory.hosts[name]
    return Address(
        host=host.address,
        user=host.user,
        port=host.port,
        identity=ssh.identity,
        ssh_config=ssh.config,
        known_hosts=ssh.known_hosts,
        jumps=ssh.jumps,
        proxy_command=host.proxy_command,
        connect_timeout_s=ssh.connect_timeout_s,
    )
