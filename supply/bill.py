"""The software bill of materials: uv's CycloneDX list of what uv.lock pins, the same bytes whenever it is made."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING

from airfleet.digests import uv
from supply.programs import run

if TYPE_CHECKING:
    from pathlib import Path

EXPORT = ("export", "--quiet", "--frozen", "--all-extras", "--no-dev")


def bill_of(folder: Path, stamp: str) -> str:
    """Return the list for the pyproject.toml and uv.lock of a folder; `stamp` is its time, "" leaves it out.

    uv's own serial number and time differ with each call: the number here is made from the content.
    """
    found = json.loads(run([uv(), *EXPORT, "--format", "cyclonedx1.5"], cwd=folder))
    del found["serialNumber"], found["metadata"]["timestamp"]
    if stamp:
        found["metadata"]["timestamp"] = stamp
    content = json.dumps(found, sort_keys=True)
    found["serialNumber"] = uuid.uuid5(uuid.NAMESPACE_OID, content).urn
    return json.dumps(found, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
