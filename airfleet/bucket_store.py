"""Backups in a bucket of Cloud Storage: what the database's host is asked to do there, with its own credentials."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from airfleet.manifest import make_backups

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airfleet.manifest import Backup
    from airfleet.model import Words
    from airfleet.remote import Host

    Say = Callable[[str], None]


class BucketStore:
    """A folder of a bucket. `passing` is the folder of the host that a backup is in while it is restored from here."""

    def __init__(self, host: Host, passing: str, bucket: Words) -> None:
        self.host, self.passing, self.bucket = host, passing, bucket
        self.where = str(bucket["place"])

    def look(self) -> tuple[tuple[Backup, ...], tuple[str, ...]]:
        """Return what is there."""
        answer: Any = self.host.call("bucket_list", {"bucket": self.bucket})
        return make_backups(answer["backups"]), tuple(answer["strays"])

    def create(self, words: Words, say: Say) -> Words:
        """Have it made on the host, and sent from there as it is made."""

        def take(part: Any) -> None:
            say(part["say"])

        answer: Any = self.host.stream("backup_create", {**words, "folder": "", "bucket": self.bucket}, take)
        manifest: Words = answer["manifest"]
        return manifest

    def note(self, backup: Backup, verified: Words) -> None:
        """Write it down there."""
        known: Words = {"name": backup.name, "sha256": backup.sha256, "verified": verified}
        self.host.call("bucket_note", {"bucket": self.bucket, **known})

    def remove(self, names: tuple[str, ...]) -> None:
        """Remove them there."""
        self.host.call("bucket_remove", {"bucket": self.bucket, "names": list(names)})

    @contextmanager
    def on_host(self, backup: Backup, say: Say) -> Iterator[str]:
        """Fetch it, and take it away again."""
        words: Words = {"bucket": self.bucket, "folder": self.passing, "name": backup.name, "size": backup.size}
        answer: Any = self.host.call("bucket_fetch", words, lambda _, text: say(text))
        try:
            yield str(answer["path"])
        finally:
            with suppress(Exception):  # the next backup that is fetched takes it away, too
                self.host.call("backup_clear", {"folder": self.passing})
