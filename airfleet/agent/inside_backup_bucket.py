"""Backups in Cloud Storage: listed, streamed up and down, removed; run by the environment's own Python.

It has google-cloud-storage, and the credentials are the host's own (application default). A dump is an object that is
written in one resumable upload, eight MiB of it in memory at a time; until its last byte has come there is no object.
Behind it, and last, comes its manifest: what has none is a half. No object is ever written over another one.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import signal
import struct

from airfleet.agent.inside_storage import Bad, answered

CHUNK = 8 * 1024 * 1024  # a multiple of 256 KiB: the service takes no other parts
PIECE = 256 * 1024
DUMP, MANIFEST = ".dump", ".json"
KIND = "application/octet-stream"
HEAD = struct.Struct(">I")


def inside(words, tell):
    """Return what is asked for; `words` are those of airfleet.agent.backup_bucket, or {"refused": …}."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    return answered(DOES, words, "backup.place (--place)", "fab backup.list")


def look(bucket, words):
    """Return {"manifests": [[name, text], …], "sizes": {name: bytes of its dump}}."""
    there = bucket.names()
    sizes = {name[: -len(DUMP)]: blob.size for name, blob in there.items() if name.endswith(DUMP)}
    names = [name for name in sorted(there) if name.endswith(MANIFEST)]
    texts = [there[name].download_as_bytes(**bucket.limits).decode("utf-8", "replace") for name in names]
    return {"manifests": [[name[: -len(MANIFEST)], text] for name, text in zip(names, texts)], "sizes": sizes}


def write(bucket, words):
    """Make an object of what comes through the descriptor `fd`, then its manifest; return what the bucket has of it.

    Pieces come with their length before them; an empty one says that all is there, and the words behind it, as JSON,
    what: {"sha256", "manifest"}. An end without them is a cut: the upload is cancelled.
    """
    name, whole = words["name"], False
    blob, sums = bucket.blob(name + DUMP), Sums()
    # The condition is what keeps an object from being written over, whoever else writes meanwhile.
    upload = blob.open("wb", chunk_size=CHUNK, content_type=KIND, if_generation_match=0, **bucket.limits)
    try:
        with open(words["fd"], "rb") as pieces:
            for data in _pieces(pieces):
                sums.add(data)
                upload.write(data)
            end = json.loads(pieces.read() or "null")
        if end is None or end["sha256"] != sums.sha256.hexdigest():
            raise Bad("what came from pg_dump was cut short: the upload was cancelled", "run it again", "failed")
        whole = True
        upload.close()
    except BaseException:
        with contextlib.suppress(Exception):  # a session that is not told to end holds no object, and ends by itself
            upload.terminate()
        if whole:
            _take_back(bucket, blob, sums)
        raise
    try:
        blob.reload(**bucket.limits)
        if wrong := sums.differing(blob):
            raise Bad(f"{words['place']}/{name}{DUMP} is not what was sent: {wrong}", "run it again", "failed")
        text = json.dumps(end["manifest"], sort_keys=True, indent=1) + "\n"
        kind = "application/json"
        bucket.blob(name + MANIFEST).upload_from_string(text, kind, if_generation_match=0, **bucket.limits)
    except BaseException:
        _take_back(bucket, blob, sums)
        raise
    return {"size": sums.size, "generation": blob.generation, "crc32c": blob.crc32c, "peak_mib": _peak_mib()}


def _peak_mib():
    """Return the most memory that this program had; `ru_maxrss` would count that of who started it as well."""
    with open("/proc/self/status") as f:
        return next(int(line.split()[1]) // 1024 for line in f if line.startswith("VmHWM:"))


def _take_back(bucket, blob, sums):
    """Remove the object that was made, if it can be; what stays is a half, which `fab backup.list` names.

    Where its making was cut in its last moment, it is known by what is in it.
    """
    with contextlib.suppress(Exception):
        if blob.generation is None:
            blob.reload(**bucket.limits)
            if sums.differing(blob):
                return
        blob.delete(if_generation_match=blob.generation, **bucket.limits)


def read(bucket, words):
    """Send a backup's object through the descriptor `fd`; return how many bytes it has."""
    blob = bucket.there(words["name"] + DUMP)
    if blob is None:
        raise Bad(f"{words['place']}/{words['name']}{DUMP} is not there", "fab backup.list", "damaged")
    same = {"if_generation_match": blob.generation}  # of one and the same object, however long it takes
    with open(words["fd"], "wb", buffering=0) as sink, blob.open("rb", CHUNK, **same, **bucket.limits) as source:
        while data := source.read(PIECE):
            view = memoryview(data)
            while view:
                view = view[sink.write(view) :]
    return {"size": blob.size}


def note(bucket, words):
    """Write `verified` into a manifest, if that is still the one with this sha256, and nobody writes it meanwhile."""
    blob = bucket.there(words["name"] + MANIFEST)
    manifest = json.loads(blob.download_as_bytes(**bucket.limits)) if blob else {"sha256": None}
    if manifest["sha256"] != words["sha256"]:
        raise Bad(f"{words['place']}/{words['name']} is another one by now", "fab backup.list", "changed")
    text = json.dumps({**manifest, "verified": words["verified"]}, sort_keys=True, indent=1) + "\n"
    blob.upload_from_string(text, "application/json", if_generation_match=blob.generation, **bucket.limits)
    return {}


def remove(bucket, words):
    """Remove backups, the manifest of each first."""
    for name in words["names"]:
        bucket.remove(name + MANIFEST)
        bucket.remove(name + DUMP)
    return {}


DOES = {"look": look, "write": write, "read": read, "note": note, "remove": remove}


class Sums:
    """What was sent, counted on the way: by the checksum of the manifest, and by those that the bucket tells."""

    def __init__(self):
        import google_crc32c

        self.size, self.sha256, self._md5 = 0, hashlib.sha256(), hashlib.md5(usedforsecurity=False)
        self._crc = google_crc32c.Checksum()

    def add(self, data):
        """Count more."""
        self.size += len(data)
        self.sha256.update(data)
        self._md5.update(data)
        self._crc.update(data)

    def differing(self, blob):
        """Return how an object differs from what was sent, or "". It has always a crc32c, an md5 not of every kind."""
        ours = {"size": self.size, "crc32c": _text(self._crc.digest()), "md5": _text(self._md5.digest())}
        theirs = {"size": blob.size, "crc32c": blob.crc32c, "md5": blob.md5_hash or ours["md5"]}
        return ", ".join(f"its {key} is {theirs[key]}, not {ours[key]}" for key in ours if theirs[key] != ours[key])


def _text(digest):
    return base64.b64encode(digest).decode("ascii")


def _pieces(source):
    """Yield the pieces up to the empty one, or up to the cut."""
    while head := source.read(HEAD.size):
        length = HEAD.unpack(head)[0] if len(head) == HEAD.size else 0
        data = source.read(length)
        if not length or len(data) != length:
            return
        yield data
