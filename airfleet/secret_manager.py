"""Google's Secret Manager: what airfleet asks of it, within a deadline, and what each of its refusals means.

Google's library is imported when the first question is asked, and by nobody whose inventory does not name it.
"""

from __future__ import annotations

import re
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from airfleet.errors import FleetError, GateRefused, HostUnreachable, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

API: Final = "secretmanager.googleapis.com"
LATEST: Final = "latest"
DEADLINE_S: Final = 20.0
SAID: Final = 300  # letters
ACCESSOR, ADDER, ADMIN = (f"roles/secretmanager.{role}" for role in ("secretAccessor", "secretVersionAdder", "admin"))
NOBODY: Final = "no host was contacted"
LOGIN: Final = "gcloud auth application-default login"


class NotEnabled(UsageError):
    """The version is disabled or destroyed; or the secret can't be made, as things are."""


@dataclass(frozen=True)
class Held:
    """A version of a secret as the manager has it; the payload is shown to nobody."""

    payload: bytes = field(repr=False)
    version: str


class Manager:
    """The secrets of one project whose names begin with a prefix. Every question ends within the deadline."""

    def __init__(self, project: str, prefix: str = "", emulator: str = "", deadline_s: float = DEADLINE_S) -> None:
        self.project, self.prefix, self.emulator, self.deadline_s = project, prefix, emulator, deadline_s

    @property
    def place(self) -> str:
        """Where the secrets are, for messages."""
        return f"Secret Manager of {self.project}"

    def called(self, name: str) -> str:
        """Return the name that a secret has there."""
        return self.prefix + name

    @contextmanager
    def connected(self) -> Iterator[Manager]:
        """Find the login on this computer, which may be an error, and close the connection when all is asked."""
        _need_library()
        with self._asking("", "", ""):
            client = self._client  # before several threads ask for it
        try:
            yield self
        finally:
            client.transport.close()
            del self._client

    def read(self, name: str, which: str = LATEST) -> Held | None:
        """Return a version of a secret; None where there is no such secret, or one without versions."""
        _need_library()
        from google.api_core.exceptions import NotFound

        request = {"name": f"{self._path(name)}/versions/{which}"}
        with self._asking(name, "read", ACCESSOR, which):
            try:
                found = self._client.access_secret_version(request=request, **self._limits)
            except NotFound:
                if which == LATEST:
                    return None
                raise
        payload = bytes(found.payload.data)
        if found.payload.data_crc32c and found.payload.data_crc32c != _crc32c(payload):
            raise HostUnreachable(
                f"{self.called(name)} was damaged on its way", place=self.place, remedy="run it again", state=NOBODY
            )
        return Held(payload, found.name.rpartition("/")[2])

    def add(self, name: str, payload: bytes) -> str:
        """Add a version, and the secret where there is none; return the number of the version."""
        _need_library()
        from google.api_core.exceptions import AlreadyExists, NotFound

        request = {"parent": self._path(name), "payload": {"data": payload, "data_crc32c": _crc32c(payload)}}
        with self._asking(name, "add a version to", ADDER):
            try:
                return _number(self._client.add_secret_version(request=request, **self._limits))
            except NotFound:
                pass
        with self._asking(name, "create", ADMIN):
            words: dict[str, Any] = {"parent": f"projects/{self.project}", "secret_id": self.called(name)}
            with suppress(AlreadyExists):  # somebody else was quicker: a version is added to theirs
                made = {**words, "secret": {"replication": {"automatic": {}}}}
                self._client.create_secret(request=made, **self._limits)
        with self._asking(name, "add a version to", ADDER):
            return _number(self._client.add_secret_version(request=request, **self._limits))

    def _path(self, name: str) -> str:
        return f"projects/{self.project}/secrets/{self.called(name)}"

    @cached_property
    def _client(self) -> Any:
        from google.cloud.secretmanager_v1 import SecretManagerServiceClient

        if not self.emulator:
            return SecretManagerServiceClient()
        import grpc
        from google.cloud.secretmanager_v1.services.secret_manager_service.transports import (
            SecretManagerServiceGrpcTransport,
        )

        channel = grpc.insecure_channel(self.emulator)
        return SecretManagerServiceClient(transport=SecretManagerServiceGrpcTransport(channel=channel))

    @cached_property
    def _limits(self) -> dict[str, Any]:
        from google.api_core.exceptions import ServiceUnavailable
        from google.api_core.retry import Retry, if_exception_type

        again = Retry(if_exception_type(ServiceUnavailable), initial=0.3, maximum=3, timeout=self.deadline_s)
        return {"timeout": self.deadline_s, "retry": again}

    @contextmanager
    def _asking(self, name: str, doing: str, role: str, version: str = LATEST) -> Iterator[None]:
        """Raise what Google's library raises as an error of ours, with the command that mends it."""
        from google.api_core.exceptions import GoogleAPIError
        from google.auth.exceptions import GoogleAuthError

        try:
            yield
        except (GoogleAPIError, GoogleAuthError) as e:
            raise self._refusal(getattr(e, "cause", None) or e, name, doing, role, version) from e

    def _refusal(self, error: Exception, name: str, doing: str, role: str, version: str) -> FleetError:
        from google.api_core import exceptions as api
        from google.auth import exceptions as auth

        told = _said(error)
        kept: dict[str, Any] = {"place": self.place, "state": NOBODY}
        if isinstance(error, auth.DefaultCredentialsError):
            return UsageError(f"this computer has no credentials of Google's: {told}", remedy=LOGIN, **kept)
        if isinstance(error, (auth.RefreshError, api.Unauthenticated)):
            return UsageError(f"your credentials are not accepted: {told}", remedy=LOGIN, **kept)
        if isinstance(error, api.PermissionDenied):
            return GateRefused(**self._denied(name, doing, role, told), **kept)
        if isinstance(error, api.NotFound):
            secret = self.called(name)
            remedy = f"gcloud secrets versions list {secret} {self._project}; then correct secrets.versions.{name}"
            return UsageError(f"{secret} has no version {version}: {told}", remedy=remedy, **kept)
        if isinstance(error, api.FailedPrecondition):
            return NotEnabled(**self._not_enabled(name, role, version, told), **kept)
        remedy = f"does this computer reach {self.emulator or f'{API}:443'}? Then run it again"
        what = f"no answer on {self.called(name)} (limit {self.deadline_s:g} s): {told}"
        return HostUnreachable(what, remedy=remedy, **kept)

    @property
    def _project(self) -> str:
        return f"--project={self.project}"

    def _denied(self, name: str, doing: str, role: str, told: str) -> dict[str, str]:
        """Return what is wrong, and the command that mends it; of a secret that is not there Google may say so, too."""
        if API in told:  # it names the API, not a secret
            return _words(f"the API is not enabled: {told}", f"gcloud services enable {API} {self._project}")
        secret = self.called(name)
        grant = f"gcloud secrets add-iam-policy-binding {secret} {self._project} --role={role} --member=user:YOU"
        if role == ADMIN:
            grant = f"gcloud projects add-iam-policy-binding {self.project} --role={role} --member=user:YOU"
        return _words(f"you may not {doing} {secret}, or there is none: {told}", grant)

    def _not_enabled(self, name: str, role: str, version: str, told: str) -> dict[str, str]:
        secret = self.called(name)
        if role != ACCESSOR:
            make = f"gcloud secrets create {secret} {self._project} --replication-policy=…"
            return _words(
                f"{secret} can't be made: {told}", f"{make}, as your organisation wants it; then run it again"
            )
        number = re.search(r"/versions/(\d+)", told)  # `latest` is the name of one with a number
        remedy = f"gcloud secrets versions enable {number[1] if number else version} --secret={secret} {self._project}"
        if "DESTROYED" in told:
            remedy = f"gcloud secrets versions list {secret} {self._project}; then pin one: secrets.versions.{name}"
        return _words(f"version {version} of {secret} can't be read: {told}", remedy)


def _need_library() -> None:
    from importlib.util import find_spec

    try:
        there = find_spec("google.cloud.secretmanager_v1")
    except ImportError:
        there = None
    if there is None:
        raise UsageError(
            "google-cloud-secret-manager is not installed on this computer",
            place="secrets.provider",
            remedy="make setup; or: pip install google-cloud-secret-manager",
            state=NOBODY,
        )


def _words(problem: str, remedy: str) -> dict[str, str]:
    return {"problem": problem, "remedy": remedy}


def _number(version: Any) -> str:
    return str(version.name).rpartition("/")[2]


def _crc32c(payload: bytes) -> int:
    import google_crc32c

    return int(google_crc32c.value(payload))


def _said(error: Exception) -> str:
    return str(getattr(error, "message", "") or error or type(error).__name__).strip()[:SAID]
