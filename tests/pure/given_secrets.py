"""The secrets of a test: awkward ones, and all that there are."""

from __future__ import annotations

from dataclasses import dataclass, field

from airfleet.secret_forms import NAMES
from airfleet.secrets import Secret, Secrets


@dataclass
class Given:
    """The secrets of a test."""

    redis_password: Secret = field(default_factory=lambda: Secret("p@:/%+ 한#?"))
    fernet_key: Secret = field(default_factory=lambda: Secret("W7RrYxTzpv8aTyp4JNyp-Wq-Oc7oJN0i5tZpJyDhW5g="))
    webserver_secret_key: Secret = field(default_factory=lambda: Secret("ab" * 32))
    flower_password: Secret = field(default_factory=lambda: Secret("fl%ow:er"))
    jwt_secret: Secret = field(default_factory=lambda: Secret("cd" * 32))
    database_password: Secret = field(default_factory=lambda: Secret("d@:/%b"))

    def __getitem__(self, name):
        return getattr(self, name)

    def accepted(self, name):
        return (self[name],)


def all_secrets():
    given = Given()
    values = {name: getattr(given, name, Secret("-----KEY-----\nabcdef\n")) for name in NAMES}
    return Secrets(values)
