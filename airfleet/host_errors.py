"""What kept a host from doing what it was asked, as an error of ours: from its agent's words or its shell's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airfleet.errors import (
    ApplyFailed,
    FleetError,
    GateRefused,
    HostChanged,
    HostKeyRefused,
    HostUnreachable,
    NotHealthy,
    RolloutStopped,
    UsageError,
)

if TYPE_CHECKING:
    from airfleet.model import Words

LOST = 70  # the agent's exit status when it has not heard from us
CLASSES: dict[str, type[FleetError]] = {
    "changed": HostChanged,
    "room": GateRefused,
    "refused": GateRefused,
    "damaged": GateRefused,
    "doubt": RolloutStopped,
    "ref": GateRefused,
    "away": HostUnreachable,
    "hostkey": HostKeyRefused,
    "database": NotHealthy,
    "usage": UsageError,
}


def failed(answer: Words, host: str) -> FleetError:
    """Return the error that a `failed` of a host's agent tells."""
    place = " ".join(str(word) for word in (host, answer["kind"], answer["key"]) if word)
    problem = str(answer["error"])
    if answer.get("tail"):
        problem += "\n    " + str(answer["tail"]).replace("\n", "\n    ")
    kind = CLASSES.get(str(answer["class"]), ApplyFailed)
    return kind(problem, place=place, remedy=str(answer.get("remedy", "")))


def no_agent(text: str, status: int, host: str) -> FleetError:
    """Return why no agent answered, from what the shell or sudo said and how that ended."""
    if "python3" in text and ("not found" in text or "No such file" in text):
        return HostUnreachable(
            "there is no python3 on this host", place=host, remedy="apt-get install python3 (3.9 or newer)"
        )
    if "sudo" in text:
        return HostUnreachable(
            f"no way to become root: {text}", place=host, remedy="give the login user sudo, or log in as root"
        )
    return HostUnreachable(f"the agent ended with {status}: {text[-2000:]}", place=host)
