"""What Cloud Storage, or the way to it, said: for the programs that run in an environment with Google's library."""

from __future__ import annotations

import contextlib
import json

SAID = 300  # letters
ROLE = "roles/storage.objectUser"


def status(error):
    """Return the HTTP status that an error tells of, 0 where it tells of none."""
    response = getattr(error, "response", None)
    return int(getattr(error, "code", None) or getattr(response, "status_code", None) or 0)


def said(error):
    """Return what the service, or the network, said."""
    text = getattr(getattr(error, "response", None), "text", "") or str(error) or type(error).__name__
    with contextlib.suppress(ValueError, KeyError, TypeError):
        text = json.loads(text)["error"]["message"]
    return text.strip()[:SAID]


def refused(what, remedy, kind="refused", tail=""):
    """Return an answer that is a refusal."""
    return {"refused": {"what": what, "kind": kind, "remedy": remedy, "tail": tail}}
