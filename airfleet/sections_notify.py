"""The part of the inventory that says who is told what became of a run."""

from typing import Annotated, Literal

from pydantic import Field

from airfleet import patterns
from airfleet.sections import Section

Commands = Literal[
    "all",
    "deploy",
    "rollback",
    "bootstrap",
    "maintenance",
    "workers",
    "services",
    "backup",
    "secrets",
    "upgrade",
]
Outcomes = Literal["gate", "failure"]


class Notify(Section):
    """Each entry tells one program or web address what became of a run: docs/notifications.md has the event."""

    command: tuple[Annotated[str, Field(pattern=patterns.LINE, min_length=1)], ...] = Field(
        default=(), description="argument list of a program on your computer; the event is JSON on its stdin, no shell"
    )
    webhook: Annotated[str, Field(pattern=patterns.WEBHOOK)] | None = Field(
        default=None, description="https address that the event is posted to; `secret`: the secret `webhook_url` is it"
    )
    on: tuple[Literal[Commands, Outcomes], ...] = Field(
        default=("all",),
        min_length=1,
        description="what is told: these commands (`workers`, `services`: what is done to them); `gate`: refused by a"
        " check; `failure`: stopped or put back",
    )
    timeout_s: Annotated[int, Field(ge=1, le=300)] = Field(
        default=10, description="how long it may take; nothing waits longer, and nothing fails with it"
    )
