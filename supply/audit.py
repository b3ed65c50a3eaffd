"""What is publicly known against the libraries of uv.lock, by pip-audit: a report that fails nobody's build."""

from __future__ import annotations

import json
import subprocess
import tempfile
from typing import TYPE_CHECKING, Any

from airfleet.digests import uv
from supply.bill import EXPORT
from supply.programs import run

if TYPE_CHECKING:
    from pathlib import Path

VERSION = "2.10.1"
PATIENCE_S = 180.0
FORM = ("--require-hashes", "--disable-pip", "--progress-spinner", "off", "--format", "json")


def report(folder: Path, patience_s: float) -> str:
    """Return the report for a folder's uv.lock, or one sentence that says why there is none."""
    pins = run([uv(), *EXPORT, "--no-emit-project", "--format", "requirements-txt"], cwd=folder)
    with tempfile.NamedTemporaryFile("w", suffix=".txt", prefix="airfleet-pins-") as file:
        file.write(pins)
        file.flush()
        argv = [uv(), "tool", "run", "--from", f"pip-audit=={VERSION}", "pip-audit", *FORM, "-r", file.name]
        try:
            done = subprocess.run(argv, check=False, capture_output=True, text=True, timeout=patience_s)
        except subprocess.TimeoutExpired:
            return f"audit: no answer within {patience_s:.0f} s"
    try:
        found = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        said = done.stderr.strip().splitlines() or ["it printed nothing"]
        return f"audit: could not be made: {said[-1][:300]}"
    return told(found)


def told(found: list[dict[str, Any]]) -> str:
    """Return pip-audit's answer in words: a line for each weakness, and how many libraries could not be asked about."""
    unasked = sum("skip_reason" in each for each in found)
    if unasked == len(found):
        return "audit: not made: the registry that answers here has no such data"
    lines = []
    for each in found:
        for weakness in each.get("vulns", []):
            mended = ", ".join(weakness.get("fix_versions", [])) or "nowhere yet"
            names = ", ".join([weakness["id"], *weakness.get("aliases", [])])
            lines.append(f"  {each['name']} {each['version']}: {names}; mended in {mended}")
    head = f"audit: {len(found)} libraries, {len(lines)} known weaknesses" + (":" if lines else "")
    if unasked:
        lines.append(f"  {unasked} could not be asked about: the registry that answers here has no such data on them")
    return "\n".join([head, *lines])
