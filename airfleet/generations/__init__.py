"""What differs between the generations of Airflow, as data; nowhere else does anybody ask for the version.

A generation is its services, the places of its settings, its commands and its health addresses. The rest of airfleet
speaks of meanings ("secret_key") and services ("webserver") and looks them up here.
"""

from __future__ import annotations

from airfleet.errors import UsageError
from airfleet.generations.airflow2 import AIRFLOW_2
from airfleet.generations.airflow3 import AIRFLOW_3
from airfleet.generations.kinds import Generation, Place, Service

__all__ = [
    "AIRFLOW_2",
    "AIRFLOW_3",
    "GENERATIONS",
    "PRIVILEGED_PORTS",
    "Generation",
    "Place",
    "Service",
    "filled",
    "generation_of",
    "is_akin",
    "is_older",
]

PRIVILEGED_PORTS = 1024
GENERATIONS = (AIRFLOW_2, AIRFLOW_3)


def filled(command: tuple[str, ...], **values: str) -> list[str]:
    """Return the words of a command with its values in them."""
    return [word.format(**values) for word in command]


def generation_of(version: str) -> Generation:
    """Return the generation of this version of Airflow; UsageError for one that airfleet was never tried with."""
    for generation in GENERATIONS:
        if version in generation.versions:
            return generation
    known = ", ".join(version for generation in GENERATIONS for version in generation.versions)
    raise UsageError(
        f"airfleet does not know Airflow {version}", place="airflow.version", remedy=f"use one of: {known}"
    )


def is_older(version: str, than: str) -> bool:
    """Return whether a version of Airflow comes before another one."""
    return _numbers(version) < _numbers(than)


def is_akin(version: str, other: str) -> bool:
    """Return whether two versions of Airflow are of the same generation."""
    return generation_of(version) is generation_of(other)


def _numbers(version: str) -> list[int]:
    return [int(number) for number in version.split(".")]
