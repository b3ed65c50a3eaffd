"""Which secrets there are, and what each of them must look like. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from airfleet import places

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

GENERATED: Final = ("redis_password", "fernet_key", "webserver_secret_key", "flower_password", "jwt_secret")
RENEWABLE: Final = frozenset({"jwt_secret"})  # lost, it is made anew: what it signs lives for minutes
GIVEN: Final = ("database_password", "deploy_key", "tls_key", "webhook_url")
NAMES: Final = (*GENERATED, *GIVEN)
# How far `fab secrets.rotate` came, kept beside a secret: its next value, the previous one, one that is being dropped.
NEXT: Final = "_next"
PREVIOUS: Final = "_previous"
DROPPED: Final = "_dropped"
ROTATED: Final = (*GENERATED, "database_password")
MARKS: Final = tuple(name + suffix for name in ROTATED for suffix in (NEXT, PREVIOUS, DROPPED))
KNOWN: Final = (*NAMES, *MARKS)


def tidy(name: str, value: str) -> str:
    """Return the value as it is used: a key has a line break at its end, and no CR LF."""
    return value.replace("\r\n", "\n").strip() + "\n" if name in {"deploy_key", "tls_key"} else value


def problem_of(name: str, value: str) -> str | None:
    """Return what is wrong with a secret, without a word of its value."""
    if name not in KNOWN:
        return f"unknown secret{places.nearest(name, NAMES) or '; known: ' + ', '.join(NAMES)}"
    if not value.strip():
        return "is empty"
    return _FORMS.get(whose(name), _line_problem)(value)


def whose(name: str) -> str:
    """Return the secret that a mark of a rotation belongs to; a secret's own name is its own."""
    for suffix in (NEXT, PREVIOUS, DROPPED):
        if name in MARKS and name.endswith(suffix):
            return name.removesuffix(suffix)
    return name


def _line_problem(value: str) -> str | None:
    if re.search(r"[\x00-\x1f\x7f\ud800-\udfff]", value):
        return "has a line break or another control character in it"
    return None


def _fernet_problem(value: str) -> str | None:
    if all(re.fullmatch(r"[A-Za-z0-9_-]{43}=", key) for key in value.split(",")):
        return None
    return "is not a Fernet key: 32 random bytes in URL-safe base64, 44 characters that end with ="


def _key_problem(value: str) -> str | None:
    if (
        re.match(r"\s*-----BEGIN [A-Z ]*PRIVATE KEY-----\r?\n", value)
        and "-----END " in value
        and not re.search(r"[\x00\ud800-\udfff]", value)
    ):
        return None
    hint = ": this is the public half" if re.match(r"\s*(ssh|ecdsa)-", value) else ""
    return f"is not a private key as ssh-keygen writes it, from -----BEGIN … to -----END …{hint}"


_FORMS: Final[Mapping[str, Callable[[str], str | None]]] = {
    "fernet_key": _fernet_problem,
    "deploy_key": _key_problem,
    "tls_key": _key_problem,
}
