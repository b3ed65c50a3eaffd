"""The part of the inventory about backups of the metadata database."""

from typing import Annotated

from pydantic import Field

from airfleet import patterns
from airfleet.sections import Folder, Section


class Backup(Section):
    """Backups of the metadata database: `fab backup.create` makes one, and removes those that are not kept."""

    folder: Folder = Field(
        default="/var/backups/airfleet",
        description="folder on the first scheduler's host, for root alone; its parent must be there",
    )
    place: Annotated[str, Field(pattern=patterns.PLACE)] | None = Field(
        default=None,
        description="`gs://BUCKET/FOLDER` keeps them in Cloud Storage; what is restored passes through `folder`",
    )
    keep: Annotated[int, Field(ge=1, le=10000)] = Field(default=7, description="the newest ones, so many, stay")
    keep_days: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="so do those that are younger, in days; default: the number alone decides"
    )
    schedule: Annotated[str, Field(pattern=patterns.SCHEDULE)] | None = Field(
        default=None,
        description="when the host makes one by itself, as systemd's `OnCalendar`: `*-*-* 03:30:00`; `~`: never",
    )
