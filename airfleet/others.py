"""What a bootstrap of some hosts asks all the others: which release they run, and whether the keys here are theirs.

They are looked at and never changed.
"""

from __future__ import annotations

import configparser
from typing import TYPE_CHECKING, Any

from airfleet.airflow_cfg import settings
from airfleet.desired import stages_of
from airfleet.errors import FleetError, GateRefused, HostUnreachable
from airfleet.generations import generation_of
from airfleet.layout import layout_of
from airfleet.rollout import on_each

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airfleet.desired import Target
    from airfleet.model import Facts, Resource
    from airfleet.remote import Host
    from airfleet.session import Fleet

KEYS = {
    "fernet_key": "the Fernet key",
    "secret_key": "the web server's secret key",
    "jwt_secret": "the secret that signs what tasks show the API server",
}


class Others:
    """The hosts of an installation that a run leaves alone."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._hosts = {name: host for name, host in fleet.everyone.items() if name not in fleet.hosts}
        self.silent: dict[str, FleetError] = {}

    def look(self, target: Target) -> dict[str, Facts]:
        """Return what was seen on each that answers: its release, and its airflow.cfg."""
        found: dict[str, Facts] = {}

        def work(host: Host) -> None:
            try:
                found[host.name] = host.look(self._wanted(target, host.name))
            except FleetError as e:
                self.silent[host.name] = e

        self.silent.clear()
        if self._hosts:
            on_each(self._hosts, work, parallel=self._fleet.inventory.ssh.parallel)
        self.silent = {name: self.silent[name] for name in self._hosts if name in self.silent}
        return {name: found[name] for name in self._hosts if name in found}

    def guard_release(self, target: Target) -> None:
        """Refuse to guess which release a new host is to have, where those who may know it can't be asked."""
        if target.release is None and self.silent:
            said = "; ".join(f"{name}: {error.problem}" for name, error in sorted(self.silent.items()))
            raise HostUnreachable(
                f"which release the installation runs can't be asked: {said}",
                place=self._fleet.inventory.environment,
                remedy="bring one of these hosts up; one that does not exist yet: leave it out of the inventory",
            )

    def guard_keys(self, target: Target, facts: Mapping[str, Facts]) -> None:
        """Refuse keys that are not those of the other hosts: each could not read what the other writes."""
        inventory, config = target.inventory, layout_of(target.inventory).config
        places = generation_of(inventory.airflow.version).places
        for name, fact in facts.items():
            seen = fact.seen.get(("file", config))
            text = str(seen.detail.get("text") or "") if seen else ""
            if not text:
                continue  # there is none, or it is the very one that is wanted
            theirs = _parsed(text)
            ours: Mapping[str, Any] = settings(inventory, inventory.hosts[name], target.secrets)
            for key in filter(places.__contains__, KEYS):
                section, option = places[key]
                value = theirs.get(section, option, fallback=None)
                if value is not None and value.replace("%%", "%") != ours[section][option]:
                    raise GateRefused(
                        f"{KEYS[key]} in {self._fleet.secrets.file} is not the one that {name} has",
                        place=inventory.environment,
                        remedy="get theirs from whoever bootstrapped; a key that is to be changed is changed on all"
                        " hosts at once: fab bootstrap without --only",
                    )

    def _wanted(self, target: Target, name: str) -> list[Resource]:
        layout = layout_of(target.inventory)
        keys = {("link", layout.current), ("release", layout.releases), ("file", layout.config)}
        stages = stages_of(target, target.inventory.hosts[name])
        return [r for stage in stages for r in stage.resources if (r.kind, r.key) in keys]


def _parsed(text: str) -> configparser.RawConfigParser:
    parser = configparser.RawConfigParser(strict=False)
    try:
        parser.read_string(text)
    except configparser.Error:
        parser = configparser.RawConfigParser()  # `fab plan` shows what is wrong with it
    return parser
