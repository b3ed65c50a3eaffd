"""The certificate of the authority that a database server's own is checked against: read from the operator's file.

What is wrong with it is told before anything is contacted. The host's half of this is `agent/certificates`.
"""

from __future__ import annotations

import re
import ssl
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_BLOCK = re.compile(r"-----BEGIN CERTIFICATE-----\n.+?\n-----END CERTIFICATE-----\n", re.DOTALL)


class BadAuthority(Exception):
    """The file can't be used: the argument is what is wrong with it, in the words of a complaint."""


def read(path: Path, now: datetime | None = None) -> str:
    """Return the certificates in a PEM file, without anything between them; raise BadAuthority.

    Of several, as during a rotation, one that has not expired is enough.
    """
    found = read_chain(path)
    _check(found, path, now or datetime.now(UTC))
    return found


def read_chain(path: Path) -> str:
    """Return the certificates in a PEM file, whosever they are; raise BadAuthority."""
    try:
        text = path.read_text(encoding="utf-8").replace("\r\n", "\n")
    except OSError as e:
        raise BadAuthority(f"'{path}' can't be read: {e.strerror}") from e
    except UnicodeDecodeError:
        raise BadAuthority(f"'{path}' is not text: a certificate in PEM is needed (openssl x509 -inform der)") from None
    if "PRIVATE KEY-----" in text:
        raise BadAuthority(f"'{path}' has a private key in it, which every host would get: leave the certificate alone")
    found = "".join(_BLOCK.findall(text if text.endswith("\n") else text + "\n"))
    if not found:
        raise BadAuthority(f"'{path}' has no certificate in it: -----BEGIN CERTIFICATE----- is looked for")
    return found


def _check(text: str, path: Path, now: datetime) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(cadata=text)
    except ssl.SSLError as e:
        raise BadAuthority(f"'{path}' has a certificate that is damaged") from e
    ends = [_time(str(each["notAfter"])) for each in context.get_ca_certs()]
    if not ends:
        raise BadAuthority(f"'{path}' is no authority's certificate, but a server's own")
    if max(ends) < now:
        raise BadAuthority(f"'{path}' expired on {max(ends):%Y-%m-%d}: get the authority's new certificate")


def _time(text: str) -> datetime:
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(text), UTC)
