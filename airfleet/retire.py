"""The flow of `fab retire`: drain a host's workers, stop and remove what was installed there, and remember that."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from airfleet import history, members, records, schedule, session, tls_proxy, way_back_files, workers
from airfleet.auth_proxy import AUTH_PROXY_UNIT
from airfleet.errors import ApplyFailed, GateRefused, UsageError
from airfleet.generations import GENERATIONS, generation_of
from airfleet.inventory_checks import NEEDED_ROLES
from airfleet.layout import REDIS_CONF, REDIS_DATA, REDIS_DROP_IN, UNITS, layout_of
from airfleet.units import PROXY_UNIT, REDIS_UNIT, stop_timeout_s

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airfleet.inventory import Inventory
    from airfleet.model import Words
    from airfleet.remote import Host
    from airfleet.session import Fleet
    from airfleet.workers import Screen

STATE = "nothing was changed"


@dataclass(frozen=True)
class Wish:
    """How a host is to be retired; `gone` says that the machine does not exist any more."""

    purge: bool = False
    gone: bool = False
    dry_run: bool = False
    drain: workers.Wish = field(default_factory=workers.Wish)


def retire(env: str, name: str, wish: Wish, screen: Screen) -> None:
    """Drain, stop and clear one host, whether the inventory still has it or not; typed twice it does nothing twice."""
    with session.opened(env, doing=history.RETIRE) as fleet:
        told = members.ask(fleet, but=name)
        listed = name in fleet.inventory.hosts
        if listed:
            refuse_the_last(fleet.inventory, name)
        elif not _remembered(fleet, name, told, wish, screen):
            return
        _Retirement(fleet, name, wish, screen).run()
        screen.say(f"done: {name} is retired", "bold green")
        if listed:
            screen.say(f"  now delete hosts.{name} from the inventory: until then `fab plan` would install it again")


def refuse_the_last(inventory: Inventory, name: str) -> None:
    """Refuse to retire the only host with a role that an installation can't do without."""
    for role in inventory.hosts[name].roles:
        others = [other for other in inventory.with_role(role) if other != name]
        if role in NEEDED_ROLES and not others:
            raise GateRefused(
                f"it is the only host with the role {role}",
                place=name,
                remedy=f"give another host that role in the inventory, fab bootstrap, then retire {name}",
                state=STATE,
            )


def clear_words(inventory: Inventory, name: str, *, purge: bool) -> Words:
    """Return what the host is told to look for and to remove."""
    layout, host = layout_of(inventory), inventory.hosts[name]
    files = sorted({service.unit_file for generation in GENERATIONS for service in generation.services})
    redis = "redis" in host.roles
    names = (tls_proxy.WATCH, tls_proxy.RELOAD)
    proxy = [tls_proxy.DROP_IN, *(f"{UNITS}/{each}" for each in names)] if tls_proxy.ROLE in host.roles else []
    own = [layout.config, layout.environment, layout.webserver_config, layout.modules, layout.dags]
    own += [f"{layout.versions}/airflow-*", layout.venv, layout.deploy_key, layout.git_known_hosts]
    root = [
        "/opt/airfleet",
        way_back_files.FOLDER,
        *([REDIS_CONF] if redis else []),
        *([tls_proxy.CONF, tls_proxy.FOLDER] if proxy else []),
    ]
    if purge:
        root += ["/var/log/airfleet", "/var/lib/airfleet", *([f"{REDIS_DATA}/*"] if redis else [])]
    own_units = (*schedule.UNITS, *way_back_files.OF_UNITS, AUTH_PROXY_UNIT)
    worker = generation_of(inventory.airflow.version).service("worker")
    return {
        "units": [
            *own_units,
            *(file.replace("@.", "@*.") for file in files),
            *([REDIS_UNIT] if redis else []),
            *([PROXY_UNIT, tls_proxy.WATCH] if proxy else []),
        ],
        "unit_files": [
            *(f"{UNITS}/{file}" for file in (*own_units, *files)),
            *([REDIS_DROP_IN] if redis else []),
            *proxy,
        ],
        "own": own,
        "root": root,
        "account": inventory.airflow.account,
        "purge": purge,
        "stop_timeout_s": stop_timeout_s(worker, host),
    }


def _remembered(fleet: Fleet, name: str, told: Sequence[Words], wish: Wish, screen: Screen) -> bool:
    """Take the host into the fleet as it was remembered; tell where there is nothing to do, and return False."""
    left = history.left_behind(told, fleet.inventory.hosts)
    if name not in left and (when := history.retired_at(told, name)):
        screen.say(f"nothing to do: {name} was retired at {when}, and is not in the inventory", "green")
        return False
    if name not in left:
        known = ", ".join([*fleet.inventory.hosts, *left])
        raise UsageError(
            f"neither the inventory nor the history of its hosts knows {name}",
            place="fab retire",
            remedy=f"hosts that can be retired: {known}",
            state=STATE,
        )
    if not left[name] and not wish.gone:
        raise UsageError(
            f"the history knows {name}, but not its address",
            place="fab retire",
            remedy=f"put it back into the inventory, fab retire {name}, then delete it; or, if the machine does not"
            " exist any more, --gone",
            state=STATE,
        )
    if left[name]:
        fleet.add(name, members.host_of(fleet.inventory, name, left[name]))
    return True


class _Retirement:
    """The retirement of one host."""

    def __init__(self, fleet: Fleet, name: str, wish: Wish, screen: Screen) -> None:
        self.fleet = fleet
        self.name = name
        self.wish = wish
        self.screen = screen

    def run(self) -> None:
        """Look, tell, and, unless that was all that is wanted, do it under the lock and record it."""
        entry = records.entry(history.RETIRE, retired=[self.name])
        if self.wish.gone:
            self.fleet.everyone.pop(self.name, None)
            with self.fleet.locked(), records.recorded(self.fleet, entry, self.screen.say):
                entry["hosts"] = {self.name: "is gone"}
            return
        host = self.fleet.everyone[self.name]
        words = clear_words(self.fleet.inventory, self.name, purge=self.wish.purge)
        there: Any = host.call("remains", dict(words))
        self._tell(there)
        if self.wish.dry_run:
            return
        try:
            with self.fleet.locked(), records.recorded(self.fleet, entry, self.screen.say):
                self._clear(host, words, there)
                entry["hosts"] = {self.name: "retired"}
                if self.wish.purge:
                    self.fleet.everyone.pop(self.name)  # its own history went with the rest
        finally:
            host.close()

    def _tell(self, there: Mapping[str, Any]) -> None:
        say = self.screen.say
        if not any(there.values()):
            say(f"{self.name}: nothing of airfleet is there (any more)")
            return
        say(f"{self.name}: is stopped and removed:", "bold")
        for what in (*there["units"], *there["paths"], *([f"account {there['account']}"] if there["account"] else [])):
            say(f"  - {what}", "red")
        if not self.wish.purge:
            say("  stays: packages of the system, the account with its logs and pyenv, /var/log/airfleet; see --purge")
        for queue in self._unserved():
            say(f"  nobody else serves the queue {queue} by the inventory", "yellow")

    def _unserved(self) -> list[str]:
        hosts = self.fleet.inventory.hosts
        others = [name for name in self.fleet.inventory.with_role("worker") if name != self.name]
        served = {queue for name in others for queue in hosts[name].celery.queues}
        mine = hosts[self.name].celery.queues if "worker" in hosts[self.name].roles else ()
        return [queue for queue in mine if queue not in served]

    def _clear(self, host: Host, words: Words, there: Mapping[str, Any]) -> None:
        if any(unit.startswith("airflow-worker@") for unit in there["units"]):
            one = replace(self.fleet, hosts={self.name: host})
            crew = workers.Workers(one, self.screen, self.wish.drain)
            crew.explain(crew.look(), "drain", "all at the same time")
            crew.drain(self.name)
        if any(there.values()):
            self.fleet.check_lock()
            self.screen.step(self.name, ("clear", ""), "")
            host.call("clear", dict(words), lambda _, text: self.screen.step(self.name, ("", "clear"), text))
        left: Any = host.call("remains", dict(words))
        if any(left.values()):
            raise ApplyFailed(
                f"still there: {', '.join([*left['units'], *left['paths'], *filter(None, [left['account']])])}",
                place=self.name,
                remedy="look at what keeps it, then run it again",
                state="the rest is removed",
            )
