"""The flow of `fab firewall`: what must be reachable, and, where that is asked for, whether it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airfleet import firewall, session
from airfleet import inventory as inventories
from airfleet.errors import FleetError, NotHealthy, UsageError
from airfleet.rollout import on_each

if TYPE_CHECKING:
    from airfleet.firewall import Listening, Way
    from airfleet.inventory import Inventory
    from airfleet.remote import Host

TIMEOUT_S = 3


class Probe:
    """What was seen of the ways: by the hosts themselves, all at the same time."""

    def __init__(self, inventory: Inventory) -> None:
        self.inventory = inventory
        self.seen: dict[Way, str] = {}
        self.beyond: list[Listening] = []
        self.unasked: dict[str, str] = {}

    def of(self, hosts: dict[str, Host], timeout_s: int) -> Probe:
        """Ask these hosts; whoever answers has been reached by SSH."""

        def work(host: Host) -> None:
            mine = firewall.probed(self.inventory, host.name)
            words = {"places": [[way.address, way.port] for way in mine], "timeout_s": timeout_s}
            try:
                answer: Any = host.call("reach", words)
            except FleetError as e:
                self.unasked[host.name] = e.problem
                self.seen.update(dict.fromkeys(mine, firewall.UNASKED))
                return
            self.seen.update(zip(mine, answer["results"], strict=True))
            self.beyond += firewall.beyond_need(self.inventory, host.name, answer["listening"])

        on_each(hosts, work, parallel=self.inventory.ssh.parallel)
        for way in firewall.ways(self.inventory):
            if way.why == firewall.SSH and way.target in hosts:
                self.seen[way] = firewall.SILENT if way.target in self.unasked else firewall.OPEN
        return self

    @property
    def closed(self) -> dict[str, int]:
        """How many ways there are of each kind that is not open."""
        kinds = [each for each in self.seen.values() if each != firewall.OPEN]
        return {kind: kinds.count(kind) for kind in dict.fromkeys(kinds)}


def needed(env: str) -> tuple[Inventory, list[Way]]:
    """Return the inventory, and what must be reachable; nothing is contacted."""
    inventory = inventories.load(inventories.path_of(env, session.inventories_root()))
    return inventory, firewall.ways(inventory)


def probe(env: str, *, only: str, timeout_s: int) -> Probe:
    """Try every way from the chosen hosts."""
    if timeout_s < 1:
        raise UsageError(f"{timeout_s} s", place="--timeout", state="nothing was contacted")
    with session.opened(env, doing="firewall", only=only, connect=True) as fleet:
        return Probe(fleet.inventory).of(fleet.hosts, timeout_s)


def refuse_closed(found: Probe) -> None:
    """Raise NotHealthy when something that is needed can't be reached; what hosts said of themselves is in it."""
    if not found.closed:
        return
    counts = ", ".join(f"{count} × {firewall.MEANING[kind]}" for kind, count in found.closed.items())
    raise NotHealthy(
        "\n    ".join([counts, *(f"{name}: {problem}" for name, problem in found.unasked.items())]),
        place=found.inventory.environment,
        remedy="open what gets no answer in the firewalls between; where nothing listens: fab doctor",
    )
