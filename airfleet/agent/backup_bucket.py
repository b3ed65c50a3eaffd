"""Backups in a bucket of Cloud Storage: this host's half, which hands on and counts what passes; root keeps none of it.

What speaks to Google is `inside_backup_bucket`, in Airflow's own environment, as its account and with what its units
have in theirs. `bucket` in the words: {"place": gs://…, "bucket", "prefix", "venv", "account", "environment": path}.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import struct

from airfleet.agent import backup_folder, command, inside, run

PROGRAM, BESIDE = "inside_backup_bucket", ("inside_storage",)
PATIENCE_S = 120  # so long is tried again what the network, or the service, has refused
CANCEL_S = 10
ASK_S = 600
HEAD = struct.Struct(">I")


def bucket_list(words, tell):
    """Return {"backups": [manifests, each with "lost": what is wrong with its dump], "strays": [dumps without one]}."""
    bucket = words["bucket"]
    seen = _ask(bucket, "look")
    texts = {name: text for name, text in seen["manifests"] if backup_folder.NAME.fullmatch(name)}
    manifests = [backup_folder.manifest_in(text, f"{bucket['place']}/{name}.json") for name, text in texts.items()]
    found = [{**each, "lost": backup_folder.lost(seen["sizes"].get(each["name"]), each)} for each in manifests]
    return {"backups": found, "strays": [f"{name}.dump" for name in seen["sizes"] if name not in texts]}


def bucket_note(words, tell):
    """Write `verified` into the manifest of a backup, if that is still the one with this sha256."""
    return _ask(words["bucket"], "note", **{key: words[key] for key in ("name", "sha256", "verified")})


def bucket_remove(words, tell):
    """Remove the backups with these names; the manifest goes first: what is left of a cut removal is a known half."""
    return _ask(words["bucket"], "remove", names=[backup_folder.checked(name) for name in words["names"]])


def bucket_fetch(words, tell):
    """Bring a backup's dump into a file of the folder; return {"path"}; `backup_clear` or the next removes it.

    Whoever opens that file compares it with the manifest: its length, its checksum.
    """
    folder, name = words["folder"], backup_folder.checked(words["name"])
    backup_folder.make_folder(folder)
    backup_folder.clear(folder)
    backup_folder.room(folder, words["size"], words.get("reserve", backup_folder.RESERVE))
    path = f"{folder}/.{name}{backup_folder.PART}"
    part = backup_folder.Part(path, words.get("reserve", backup_folder.RESERVE))
    slowly = backup_folder.paced(tell)
    with run.on_loss(part.remove):
        try:
            ours, theirs = os.pipe2(os.O_CLOEXEC)
            with open(ours, "rb", buffering=0) as coming:
                program = _begun(words["bucket"], "read", theirs, name=name)
                try:
                    os.close(theirs)
                    while data := coming.read(backup_folder.CHUNK):
                        part.write(data)
                        slowly(f"fetched {backup_folder.mib(part.size)} of {backup_folder.mib(words['size'])}")
                    program.answer()
                finally:
                    program.end()
            part.close()
        except BaseException:
            part.remove()
            raise
    return {"path": path}


class Upload:
    """Takes a dump and streams it into an object; there is none before `keep`, and its manifest after it."""

    def __init__(self, bucket, name):
        theirs, self._pipe = os.pipe2(os.O_CLOEXEC)
        self.size, self._digest = 0, hashlib.sha256()
        try:
            self._program = _begun(bucket, "write", theirs, name=backup_folder.checked(name))
        finally:
            os.close(theirs)

    @property
    def sha256(self):
        """The checksum of what was handed on."""
        return self._digest.hexdigest()

    def write(self, data):
        """Hand on more; a slow network makes pg_dump wait."""
        self._send(HEAD.pack(len(data)) + data)
        self.size += len(data)
        self._digest.update(data)

    def keep(self, manifest):
        """Say that this is all, so that the object is made, compared, its manifest written; return what is there."""
        self._send(HEAD.pack(0) + json.dumps({"sha256": self.sha256, "manifest": manifest}).encode())
        self._close()
        try:
            return self._program.answer()
        finally:
            self._program.end()

    def remove(self):
        """Have the upload cancelled: the program is asked to end, and does that first."""
        self._program.end()
        self._close()

    def _send(self, data):
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._pipe, view) :]
        except BrokenPipeError:
            self._program.answer()
            raise run.Refused("the upload ended by itself", remedy="run it again") from None

    def _close(self):
        if self._pipe is not None:
            with contextlib.suppress(OSError):
                os.close(self._pipe)
            self._pipe = None


def _ask(bucket, do, **more):
    asked = _words(bucket, do, more)
    kept = {"account": bucket["account"], "env": _env(bucket), "timeout_s": ASK_S, "also": BESIDE}
    return inside.ask(bucket["venv"], PROGRAM, asked, **kept)


def _begun(bucket, do, fd, **more):
    asked = _words(bucket, do, {**more, "fd": fd})
    kept = {"account": bucket["account"], "env": _env(bucket), "fds": (fd,), "patience_s": CANCEL_S, "also": BESIDE}
    return inside.Begun(bucket["venv"], PROGRAM, asked, **kept)


def _words(bucket, do, more):
    known = {name: bucket[name] for name in ("place", "bucket", "prefix")}
    patience_s = bucket.get("patience_s", PATIENCE_S)
    return {**known, "python": bucket["venv"], "patience_s": patience_s, "do": do, **more}


def _env(bucket):
    return command.environment_of(bucket["environment"])
