"""What looks like a secret in a tracked file: detect-secrets, against a baseline of what only looks like one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from detect_secrets.core.secrets_collection import SecretsCollection
from detect_secrets.settings import transient_settings

from supply.programs import git

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

BASELINE = ".secrets.baseline"
SKIPPED = (BASELINE, "uv.lock")  # digests, no secrets
ADVICE = (
    "  do:    take it out; a secret that was pushed is to be changed. What only looks like one: make baseline\n"
    "  state: nothing was committed"
)
# Those that verify what they find ask its service: nothing found here is sent anywhere, so no filter that verifies.
PLUGINS: list[dict[str, Any]] = [
    {"name": "AWSKeyDetector"},
    {"name": "Base64HighEntropyString", "limit": 4.5},
    {"name": "BasicAuthDetector"},
    {"name": "GitHubTokenDetector"},
    {"name": "HexHighEntropyString", "limit": 3.0},
    {"name": "JwtTokenDetector"},
    {"name": "KeywordDetector"},
    {"name": "PrivateKeyDetector"},
    {"name": "PypiTokenDetector"},
    {"name": "SlackDetector"},
]
HEURISTIC = "detect_secrets.filters.heuristic"
FILTERS = [
    {"path": f"{HEURISTIC}.{name}"}
    for name in (
        *("is_indirect_reference", "is_likely_id_string", "is_lock_file", "is_not_alphanumeric_string"),
        *("is_potential_uuid", "is_prefixed_with_dollar_sign", "is_sequential_string", "is_templated_secret"),
    )
] + [{"path": "detect_secrets.filters.allowlist.is_line_allowlisted"}]


def unknown(repository: Path, files: Iterable[str]) -> list[str]:
    """Return `FILE:LINE: what it looks like` of all in these files that the baseline does not have."""
    known = _known(repository)
    return [
        f"{file}:{each['line_number']}: looks like a secret: {each['type']}"
        for file, each in _found(repository, files)
        if (file, each["type"], each["hashed_secret"]) not in known
    ]


def write(repository: Path) -> int:
    """Write the baseline of all that is tracked; return how many findings it has.

    It is a baseline of detect-secrets without line numbers and time: lines move, and a file that moves with each of
    them is read by nobody.
    """
    results: dict[str, list[dict[str, str]]] = {}
    for file, each in _found(repository, tracked(repository)):
        results.setdefault(file, []).append({"type": each["type"], "hashed_secret": each["hashed_secret"]})
    for entries in results.values():
        entries.sort(key=lambda each: (each["type"], each["hashed_secret"]))
    words = {"plugins_used": PLUGINS, "filters_used": FILTERS, "results": dict(sorted(results.items()))}
    (repository / BASELINE).write_text(json.dumps(words, indent=1) + "\n", encoding="utf-8")
    return sum(map(len, results.values()))


def tracked(repository: Path) -> list[str]:
    """Return the files that git tracks."""
    return [name for name in git("ls-files", "-z", cwd=repository).split("\0") if name]


def _found(repository: Path, files: Iterable[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    secrets = SecretsCollection(root=str(repository))
    with transient_settings({"plugins_used": PLUGINS, "filters_used": FILTERS}):
        for file in files:
            if file not in SKIPPED:
                secrets.scan_file(file)
    for file, entries in sorted(secrets.json().items()):
        yield from ((file, each) for each in entries)


def _known(repository: Path) -> set[tuple[str, str, str]]:
    path = repository / BASELINE
    if not path.is_file():
        return set()
    results = json.loads(path.read_text(encoding="utf-8"))["results"]
    return {(file, each["type"], each["hashed_secret"]) for file, entries in results.items() for each in entries}
