"""Parts of a host's history in Cloud Storage: written once, read back; run by the environment's own Python.

The credentials are the host's own (application default). No object is ever written over another one.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from airfleet.agent.inside_storage import Bad, answered

READERS = 8
KIND = "application/jsonl"
SETTING = "logging.bucket (or backup.place)"


def inside(words, tell):
    """Return what is asked for; `words` are those of airfleet.agent.audit, or {"refused": …}."""
    return answered(DOES, words, SETTING, "fab history --verify")


def write(bucket, words):
    """Make an object of a text; one that is there, of a copy that was cut in its last moment, must be the same."""
    from google.api_core.exceptions import PreconditionFailed

    data = words["text"].encode("utf-8", "surrogateescape")
    blob = bucket.blob(words["name"])
    try:
        blob.upload_from_string(data, KIND, if_generation_match=0, **bucket.limits)
    except PreconditionFailed:
        if blob.download_as_bytes(**bucket.limits) != data:
            what = f"{words['place']}/{words['name']} is there, and is something else: it was not written over"
            raise Bad(what, "somebody else writes there: look at the bucket's own log", "changed") from None
    return {"size": len(data)}


def read(bucket, words):
    """Return {"objects": [[name, text], …]} of all that was ever written, in order."""

    def one(found):
        name, blob = found
        return [name, blob.download_as_bytes(**bucket.limits).decode("utf-8", "surrogateescape")]

    with ThreadPoolExecutor(max_workers=READERS) as pool:
        return {"objects": list(pool.map(one, sorted(bucket.names().items())))}


DOES = {"write": write, "read": read}
