"""The inventory's section `tls`: the certificate of the web pages, on the hosts with the role `proxy`."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, PrivateAttr

from airfleet.sections import Folder, LocalPath, Section


class Tls(Section):
    """TLS for the web pages, by nginx on the hosts with the role `proxy`: a file of yours, or one on these hosts."""

    certificate: LocalPath | None = Field(
        default=None, description="your file (PEM), the whole chain; its private key is the secret `tls_key`"
    )
    host_certificate: Folder | None = Field(
        default=None,
        description="or where an ACME client keeps the chain on the hosts: `/etc/letsencrypt/live/…/fullchain.pem`",
    )
    host_key: Folder | None = Field(default=None, description="and its private key")
    self_signed: bool = Field(default=False, description="or one that each host makes for itself: for trials")
    hsts_s: Annotated[int, Field(ge=0)] = Field(
        default=31_536_000, description="so long browsers insist on TLS (`Strict-Transport-Security`); 0: they need not"
    )
    _chain: str = PrivateAttr("")

    @property
    def chain(self) -> str:
        """The certificates in the file `certificate`; empty where none is named."""
        return self._chain

    def showing(self, path: Path, chain: str) -> Self:
        """Return the section with the absolute path of `certificate`, and what is in that file."""
        tls = self.model_copy(update={"certificate": path})
        tls._chain = chain  # noqa: SLF001  # a copy of itself
        return tls

    @property
    def ways(self) -> tuple[str, ...]:
        """The keys by which it is said where the certificate comes from."""
        said = {
            "certificate": self.certificate,
            "host_certificate": self.host_certificate,
            "self_signed": self.self_signed,
        }
        return tuple(key for key, value in said.items() if value)
