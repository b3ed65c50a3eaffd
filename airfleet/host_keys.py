"""The flow of `fab host-keys`: the keys of new VMs, as the VMs themselves told Google, on another way than SSH."""

from __future__ import annotations

import base64
import binascii
import contextlib
import json
import re
import struct
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import paramiko

from airfleet import inventory as inventories
from airfleet import session
from airfleet.choice import chosen
from airfleet.errors import HostKeyRefused, HostUnreachable, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from airfleet.inventory import Inventory

KINDS = ("ssh-ed25519", "ecdsa-sha2-nistp256", "ssh-rsa")  # those that gcloud itself takes from there
NAMESPACE = "hostkeys"
PATIENCE_S = 60
SSH_PORT = 22
WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]*")


@dataclass(frozen=True, slots=True)
class Asking:
    """How Google is asked: the gcloud program, and what it does not know by itself."""

    gcloud: str = "gcloud"
    zone: str = ""
    project: str = ""

    def command(self, instance: str) -> list[str]:
        """Return the words that print the attributes of an instance which have its host keys, as JSON."""
        for option, value in (("--zone", self.zone), ("--project", self.project)):
            if value and not WORD.fullmatch(value):
                raise UsageError(f"{value[:60]!r} can't be one", place=option, state="nothing was contacted")
        words = [self.gcloud, "compute", "instances", "get-guest-attributes", instance]
        words += [f"--query-path={NAMESPACE}/", "--format=json", "--quiet"]
        words += [f"--zone={self.zone}"] if self.zone else []
        return [*words, *([f"--project={self.project}"] if self.project else [])]


def found(env: str, *, only: str, asking: Asking) -> tuple[Inventory, dict[str, list[str]]]:
    """Return the lines of a known_hosts file for each chosen host; raise HostUnreachable where Google has none."""
    path = inventories.path_of(env, session.inventories_root())
    inventory = inventories.load(path)
    names = chosen(inventory, only, path.name)
    with ThreadPoolExecutor(inventory.ssh.parallel) as pool:
        told = list(pool.map(lambda name: _told(name, asking.command(name)), names))
    return inventory, {name: lines(place(inventory, name), text, name) for name, text in zip(names, told, strict=True)}


def place(inventory: Inventory, name: str) -> str:
    """Return what a host is called in a known_hosts file."""
    host = inventory.hosts[name]
    return host.address if (host.port or SSH_PORT) == SSH_PORT else f"[{host.address}]:{host.port}"


def lines(where: str, text: str, name: str) -> list[str]:
    """Return the lines for what gcloud has printed, which was written by the VM: nothing but keys comes through."""
    try:
        told: Any = json.loads(text or "[]")
        items = told.get("queryValue", {}).get("items", []) if isinstance(told, dict) else told
        keys = {item["key"]: item["value"].split()[0] for item in items if item.get("namespace") == NAMESPACE}
    except (ValueError, AttributeError, KeyError, IndexError, TypeError) as e:
        raise HostUnreachable("what gcloud printed can't be read", place=name, remedy="gcloud version") from e
    sound = [f"{where} {kind} {keys[kind]}" for kind in KINDS if kind in keys and _is_key(kind, keys[kind])]
    if not sound:
        raise HostUnreachable(
            "Google has no host keys of this VM",
            place=name,
            remedy="metadata enable-guest-attributes=TRUE before its first boot: the guest agent writes them then",
        )
    return sound


def write(known_hosts: Path, found: dict[str, list[str]]) -> list[str]:
    """Append the lines that the file lacks, and return them; raise HostKeyRefused where it has another key."""
    trusted = paramiko.HostKeys()
    with contextlib.suppress(FileNotFoundError):
        trusted.load(str(known_hosts))
    new = [line for name, own in found.items() for line in _new(trusted, name, own, known_hosts)]
    if new:
        known_hosts.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with known_hosts.open("a+", encoding="utf-8") as file:
            file.seek(0)
            before = file.read()
            file.write(("\n" if before and not before.endswith("\n") else "") + "".join(f"{line}\n" for line in new))
    return new


def _new(trusted: paramiko.HostKeys, name: str, own: Iterable[str], known_hosts: Path) -> list[str]:
    missing = []
    for line in own:
        where, kind, key = line.split()
        there = trusted.lookup(where)
        known = there.get(kind) if there else None
        if known is None:
            missing.append(line)
        elif known.get_base64() != key:
            raise HostKeyRefused(
                f"{known_hosts} has another {kind} key of {where} than Google",
                place=name,
                remedy="find out why before anything else; a rebuilt host: remove its lines there"
                f" (ssh-keygen -R {where})",
            )
    return missing


def _told(name: str, words: Sequence[str]) -> str:
    try:
        done = subprocess.run(
            words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE_S, check=False
        )
    except subprocess.TimeoutExpired as e:
        raise HostUnreachable(f"{words[0]} has not answered in {PATIENCE_S} s", place=name) from e
    except OSError as e:
        raise UsageError(
            f"{words[0]} can't be run: {e.strerror}",
            place="--gcloud",
            remedy="install the Google Cloud CLI, or name it: --gcloud PATH",
        ) from e
    if done.returncode:
        said = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        raise HostUnreachable(
            f"Google does not tell its host keys: {said[-1] if said else f'gcloud ended with {done.returncode}'}",
            place=name,
            remedy="is the instance called as the host is in the inventory? --zone, --project; the permission is"
            " compute.instances.getGuestAttributes",
        )
    return done.stdout


def _is_key(kind: str, key: str) -> bool:
    try:
        blob = base64.b64decode(key, validate=True)
        return blob[4 : 4 + struct.unpack(">I", blob[:4])[0]].decode("ascii") == kind
    except (binascii.Error, struct.error, UnicodeDecodeError):
        return False
