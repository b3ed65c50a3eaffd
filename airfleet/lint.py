"""The linter of airflow.cfg: finds the settings that the installed Airflow would ignore without a word. Pure.

What Airflow knows is a `Catalogue`, printed on the host by `agent/catalogue.py` with the environment's own Python.
"""

from __future__ import annotations

import json
from configparser import RawConfigParser
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from airfleet.generations import Generation, Place

Verdict = Literal["unknown", "moved", "deprecated"]

CLOSE = 0.6
CLOSE_SECTION = 0.75
SECRET_SUFFIXES = ("_cmd", "_secret")


@dataclass(frozen=True, slots=True)
class Catalogue:
    """What one installation knows: `options` as {section: {key: its traits}}, `moved` as {old place: new place}.

    In `moved` an empty key speaks of a whole section. `celery` are the names of Celery's own settings.
    """

    airflow: str
    options: Mapping[str, Mapping[str, Mapping[str, Any]]]
    moved: Mapping[Place, Place]
    celery: frozenset[str]

    def traits(self, section: str, key: str) -> Mapping[str, Any] | None:
        """Return what is known of a setting, also in its KEY_cmd form; None when it is not known."""
        options = self.options.get(section, {})
        if key in options:
            return options[key]
        for suffix in SECRET_SUFFIXES:
            base = options.get(key.removesuffix(suffix)) if key.endswith(suffix) else None
            if base and base.get("secret"):
                return base
        return None


@dataclass(frozen=True, slots=True)
class Finding:
    """A setting that would not do what it says, and what to write instead (never its value)."""

    section: str
    key: str
    verdict: Verdict
    remedy: str

    @property
    def place(self) -> str:
        """The setting, as in `celery.task_time_limit`."""
        return f"{self.section}.{self.key}" if self.key else f"[{self.section}]"

    def __str__(self) -> str:
        said = {
            "unknown": "the installed Airflow doesn't know it and would ignore it",
            "moved": "an old name",
            "deprecated": "deprecated",
        }
        return f"{self.place}: {said[self.verdict]}; {self.remedy}"


def read_catalogue(text: str) -> Catalogue:
    """Return the catalogue in the text that a host has printed."""
    return make_catalogue(json.loads(text))


def make_catalogue(words: Mapping[str, Any]) -> Catalogue:
    """Return the catalogue in the plain words of a host."""
    return Catalogue(
        airflow=words["airflow"],
        options=words["sections"],
        moved={(section, key): (to_section, to_key) for section, key, to_section, to_key, _since in words["moved"]},
        celery=frozenset(words["celery"]),
    )


def read_cfg(text: str) -> dict[str, dict[str, str]]:
    """Return the settings in the text of an airflow.cfg, as they are written there."""
    parser = RawConfigParser()
    parser.read_string(text)
    return {section.lower(): dict(parser[section]) for section in parser.sections()}


def lint(settings: Mapping[str, Mapping[str, object]], catalogue: Catalogue, generation: Generation) -> list[Finding]:
    """Return a finding for each setting that the installed Airflow would ignore, or knows by another name.

    A section that is unlike any of Airflow's is a team's own, read by its DAGs or plugins: it's left alone.
    """
    return [
        finding
        for section, options in settings.items()
        if section not in generation.open_sections
        for finding in _section_findings(section, options, catalogue, generation)
    ]


def _section_findings(
    section: str, options: Mapping[str, object], catalogue: Catalogue, generation: Generation
) -> Iterator[Finding]:
    known = section in catalogue.options
    if not known and (moved := catalogue.moved.get((section, ""))):
        yield Finding(section, "", "moved", f"write [{moved[0]}]")
        return
    near = get_close_matches(section, catalogue.options, n=1, cutoff=CLOSE_SECTION)
    for key in options:
        traits = catalogue.traits(section, key)
        if traits is not None:
            if reason := traits.get("gone"):
                yield Finding(section, key, "deprecated", str(reason))
        elif (section, key) in generation.undocumented:
            continue
        elif moved := catalogue.moved.get((section, key)):
            yield Finding(section, key, "moved", f"write [{moved[0]}] {moved[1]}")
        elif known:
            yield Finding(section, key, "unknown", _remedy(section, key, catalogue, generation))
        elif near:
            yield Finding(section, key, "unknown", f"is it [{near[0]}] {key}?")


def _remedy(section: str, key: str, catalogue: Catalogue, generation: Generation) -> str:
    if hint := generation.hints.get((section, key)):
        return f"write {hint}"
    elsewhere = sorted(name for name, keys in catalogue.options.items() if key in keys)
    if elsewhere:
        return f"write [{elsewhere[0]}] {key}"
    if key in catalogue.celery:
        return f'it is Celery\'s own: write [celery] extra_celery_config = {{"{key}": …}}'
    if near := get_close_matches(key, catalogue.options[section], n=1, cutoff=CLOSE):
        return f"is it [{section}] {near[0]}?"
    return f"[{section}] has nothing like it: remove it"
