"""Debian's mirror as this computer has it: both formats of apt's sources are read, and the machines' own are made."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

APT = Path("/etc/apt")
DEBIAN = "http://deb.debian.org/debian"
SECURITY = "http://deb.debian.org/debian-security"


@dataclass(frozen=True)
class Mirror:
    """Where Debian's packages and its security updates come from."""

    debian: str = DEBIAN
    security: str = SECURITY


def read_one_line(text: str) -> list[tuple[str, str]]:
    """(address, suite) of every `deb` line."""
    found = []
    for line in text.splitlines():
        match = re.match(r"\s*deb\s+(?:\[[^\]]*\]\s+)?(\S+)\s+(\S+)", line)
        if match:
            found.append((match[1], match[2]))
    return found


def read_deb822(text: str) -> list[tuple[str, str]]:
    """(address, suite) of every enabled `Types: deb` paragraph."""
    found = []
    lines = (line for line in text.splitlines() if not line.startswith("#"))
    for paragraph in re.split(r"\n\s*\n", "\n".join(lines)):
        fields: dict[str, str] = {}
        name = ""
        for line in paragraph.splitlines():
            if line[:1].isspace():
                fields[name] = f"{fields.get(name, '')} {line.strip()}"
            elif ":" in line:
                name, _, value = line.partition(":")
                name = name.strip().lower()
                fields[name] = value.strip()
        if "deb" in fields.get("types", "").split() and fields.get("enabled", "yes").lower() != "no":
            suites = fields.get("suites", "").split()
            found += [(uri, suite) for uri in fields.get("uris", "").split() for suite in suites]
    return found


def choose_mirror(sources: Iterable[tuple[str, str]]) -> Mirror:
    """The mirrors of the first Debian suite and the first security suite in the list; else Debian's own."""
    debian = security = ""
    for uri, suite in sources:
        address = uri.rstrip("/")
        if address.endswith("/debian-security") or suite.endswith("-security"):
            security = security or address
        elif address.endswith("/debian"):
            debian = debian or address
    return Mirror(debian or DEBIAN, security or SECURITY)


def read_mirror(apt: Path = APT) -> Mirror:
    """The mirror that this computer's apt uses."""
    found: list[tuple[str, str]] = []
    one_line = [apt / "sources.list", *sorted((apt / "sources.list.d").glob("*.list"))]
    for path in one_line:
        if path.is_file():
            found += read_one_line(path.read_text())
    for path in sorted((apt / "sources.list.d").glob("*.sources")):
        found += read_deb822(path.read_text())
    return choose_mirror(found)


def make_sources(mirror: Mirror, release: str) -> str:
    """The content of a machine's /etc/apt/sources.list.d/debian.sources: main, updates and security."""
    key = "/usr/share/keyrings/debian-archive-keyring.gpg"
    paragraphs = [
        (mirror.debian, f"{release} {release}-updates"),
        (mirror.security, f"{release}-security"),
    ]
    return "\n".join(
        f"Types: deb\nURIs: {uri}\nSuites: {suites}\nComponents: main\nSigned-By: {key}\n" for uri, suites in paragraphs
    )


def make_apt_settings(dump: str) -> str:
    """Of `apt-config dump`, the lines about proxies and dates, without which the mirror may be out of reach."""
    wanted = re.compile(r"Acquire::(https?::proxy|check-valid-until|check-date)", re.IGNORECASE)
    return "".join(f"{line}\n" for line in dump.splitlines() if wanted.match(line))
