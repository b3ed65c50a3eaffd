"""The version guard: sets of packages that install without a word and then don't work. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# As its package declares (>=3.10), without 3.13 and 3.14: its `!=3.13` lets 3.13.1 through.
PYTHONS = {"2.11.2": ("3.10", "3.11", "3.12"), "3.3.2": ("3.10", "3.11", "3.12", "3.13", "3.14")}
CELERY_PROVIDER = "apache-airflow-providers-celery"
PINNED = re.compile(
    r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[[^\]]*\])?\s*===?\s*([^\s;,#\\]+)\s*(?:[;#\\].*|--hash.*)?"
)


@dataclass(frozen=True, slots=True)
class Broken:
    """Versions of a package, from `at_least` until before `below` ("": no end), that break these versions of Airflow.

    `fatal` False: it works, with a nuisance.
    """

    package: str
    at_least: str
    below: str
    reason: str
    airflows: tuple[str, ...]
    fatal: bool = True

    def has(self, version: str) -> bool:
        """Return whether this version is among the broken ones."""
        return at_least(version, self.at_least) and not (self.below and at_least(version, self.below))

    @property
    def good(self) -> str:
        """What to ask for instead, as in requirements.txt."""
        return f"{self.package}>={self.below}" if self.below else f"{self.package}<{self.at_least}"


BOTH = ("2.11.2", "3.3.2")
BROKEN = (
    Broken(
        CELERY_PROVIDER,
        *("3.16.0", "3.17.2"),
        "the worker discards every message: Received unregistered task of type 'execute_command'",
        ("2.11.2",),
    ),
    Broken(
        *("celery", "5.7", ""),
        "Airflow can't be started: cannot import name 'retry' from 'celery.backends.database'",
        BOTH,
    ),
    Broken(
        *("sqlalchemy", "2.1", ""),
        "the tables of the FAB provider are missing after `airflow db migrate`, which ends with 0 all the same",
        ("3.3.2",),
    ),
    Broken("chardet", "6", "", "every command of Airflow prints a warning", BOTH, fatal=False),
)


def refusals(packages: Mapping[str, str], airflow_version: str, python: str) -> list[str]:
    """Return why this set of packages can't work, one sentence for each reason; an empty list when it can.

    `packages` are {name: version}, `python` is such as 3.11 or 3.11.13, or "" where only the host knows it.
    """
    found = [_sentence(broken, version) for broken, version in _broken_in(packages, airflow_version) if broken.fatal]
    minor = ".".join(python.split(".")[:2])
    pythons = PYTHONS.get(airflow_version, ())
    if minor and pythons and minor not in pythons:
        found.append(f"Python {python} can't run Airflow {airflow_version}: use {_spoken(pythons)}")
    return found


def warnings(packages: Mapping[str, str], airflow_version: str) -> list[str]:
    """Return what will be a nuisance with this set of packages, one sentence for each."""
    return [_sentence(broken, version) for broken, version in _broken_in(packages, airflow_version) if not broken.fatal]


def refused_ranges(airflow_version: str) -> list[dict[str, str]]:
    """Return the fatal ranges of an Airflow as plain words, for the host's half to check what was really installed."""
    return [
        {"package": broken.package, "at_least": broken.at_least, "below": broken.below, "reason": broken.reason}
        for broken in BROKEN
        if broken.fatal and airflow_version in broken.airflows
    ]


def read_constraints(text: str) -> dict[str, str]:
    """Return {name: version} of every pinned package in a constraints file; the rest is not looked at."""
    found = {}
    for line in text.splitlines():
        if pinned := PINNED.fullmatch(line):
            found[normalized(pinned[1])] = pinned[2]
    return found


def without_digest(text: str) -> list[str]:
    """Return the names of the packages in a constraints file whose files have no digest there; all of a plain one."""
    lines = [line for line in text.replace("\\\n", " ").splitlines() if "--hash=" not in line]
    return [normalized(pinned[1]) for line in lines if (pinned := PINNED.fullmatch(line))]


def all_have_digests(constraints: Mapping[str, object]) -> bool:
    """Return whether every package of these constraints (as `gates.constraints_of` gives them) has its digests."""
    texts = constraints.get("texts") or {"": constraints.get("text", "")}
    return isinstance(texts, dict) and all("--hash=" in text and not without_digest(text) for text in texts.values())


def normalized(name: str) -> str:
    """Return the one spelling of a package's name (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def at_least(version: str, least: str) -> bool:
    """Return whether the numbers of a version reach those of another; 5.7.0rc1 counts as 5.7."""
    have, want = _numbers(version), _numbers(least)
    length = max(len(have), len(want))
    return _padded(have, length) >= _padded(want, length)


def _broken_in(packages: Mapping[str, str], airflow_version: str) -> Iterator[tuple[Broken, str]]:
    versions = {normalized(name): version for name, version in packages.items()}
    for broken in BROKEN:
        version = versions.get(broken.package)
        if version is not None and airflow_version in broken.airflows and broken.has(version):
            yield broken, version


def _sentence(broken: Broken, version: str) -> str:
    return f"{broken.package} {version}: {broken.reason}; use {broken.good}"


def _spoken(words: tuple[str, ...]) -> str:
    return f"{', '.join(words[:-1])} or {words[-1]}" if len(words) > 1 else words[0]


def _numbers(version: str) -> tuple[int, ...]:
    leading = re.match(r"v?(?:\d+!)?(\d+(?:\.\d+)*)", version.strip())
    return tuple(int(number) for number in leading[1].split(".")) if leading else ()


def _padded(numbers: tuple[int, ...], length: int) -> tuple[int, ...]:
    return numbers + (0,) * (length - len(numbers))
