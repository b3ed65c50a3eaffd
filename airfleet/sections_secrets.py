"""The part of the inventory about where secrets are read from; what they are is in `secrets`."""

from typing import Annotated, Literal

from pydantic import Field

from airfleet import patterns
from airfleet.sections import Section


class SecretSource(Section):
    """Where secrets are read from; the environment (`AIRFLEET_SECRET_<NAME>`) wins over either."""

    provider: Literal["file", "gcp"] = Field(
        default="file", description="`file`: `secrets.yaml` beside the inventory; `gcp`: Google's Secret Manager"
    )
    project: Annotated[str, Field(pattern=patterns.PROJECT)] | None = Field(
        default=None, description="project of Google Cloud that the Secret Manager is in"
    )
    prefix: Annotated[str, Field(pattern=patterns.SECRET_PREFIX)] = Field(
        default="airfleet-", description="stands before the name of each secret there: `airfleet-fernet_key`"
    )
    versions: dict[
        Annotated[str, Field(pattern=patterns.WORD)], Annotated[str, Field(pattern=patterns.SECRET_VERSION)]
    ] = Field(default={}, description='versions that are pinned, as in `{fernet_key: "3"}`; of the others the latest')
    emulator: Annotated[str, Field(pattern=patterns.ENDPOINT)] | None = Field(
        default=None, description="for trials: HOST:PORT of a stand-in, asked in place of Google, without a login"
    )
