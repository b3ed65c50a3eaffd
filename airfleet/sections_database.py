"""The section `database` of the inventory: PostgreSQL, and how its server is known."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, PrivateAttr

from airfleet import patterns
from airfleet.sections import Address, Folder, LocalPath, Login, Port, Section


class Proxy(Section):
    """Google's Cloud SQL Auth Proxy on each host that uses the database, at `database.host` 127.0.0.1."""

    instance: Annotated[str, Field(pattern=patterns.INSTANCE)] = Field(
        description="connection name of the instance: `PROJECT:REGION:INSTANCE`"
    )
    url: Annotated[str, Field(pattern=patterns.URL)] | None = Field(
        default=None, description="where the hosts get the program from; or `path`"
    )
    path: Folder | None = Field(default=None, description="the program, where it is on the hosts already; or `url`")
    sha256: Annotated[str, Field(pattern=patterns.SHA256)] = Field(
        description="of the program, as Google publishes it: any other is refused"
    )
    private_ip: bool = Field(
        default=True, description="the way to the instance is its private address (`--private-ip`)"
    )
    health_port: Port = Field(default=9090, description="port on 127.0.0.1 at which it tells how it is")


class Database(Section):
    """PostgreSQL; on Google Cloud: the private address of Cloud SQL."""

    host: Address = Field(description="address of the server")
    port: Port = Field(default=5432, description="port of the server")
    name: Login = Field(default="airflow", description="name of the database")
    user: Login = Field(default="airflow", description="its password is the secret `database_password`")
    sslmode: Literal["disable", "allow", "prefer", "require", "verify-ca", "verify-full"] = Field(
        default="prefer", description="as in libpq; `verify-ca` is what fits Cloud SQL"
    )
    ca: LocalPath | None = Field(
        default=None, description="certificate of the server's authority (PEM), which the hosts get: for `verify-ca`"
    )
    max_connections: Annotated[int, Field(ge=1, le=262143)] | None = Field(
        default=None, description="what the server has (`show max_connections`): `fab plan` warns of too little"
    )
    proxy: Proxy | None = Field(
        default=None,
        description="the Cloud SQL Auth Proxy; it listens on `port` of 127.0.0.1 (docs/google-cloud-sql.md)",
    )
    _authority: str = PrivateAttr("")

    @property
    def authority(self) -> str:
        """The certificates in the file `ca`; empty where none is named."""
        return self._authority

    def trusting(self, ca: Path, authority: str) -> Self:
        """Return the section with the absolute path of `ca`, and what is in that file."""
        database = self.model_copy(update={"ca": ca})
        database._authority = authority  # noqa: SLF001  # a copy of itself
        return database
