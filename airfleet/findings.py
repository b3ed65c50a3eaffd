"""What the gate of a deploy found against a release, each by a name under which an operator may accept it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

FORCED_PUSH = "forced-push"
TOO_LONG = "parse-timeout"


@dataclass(frozen=True, slots=True)
class Finding:
    """One reason not to switch: `name` is what `--accept` takes, `text` one sentence for a human."""

    name: str
    text: str

    def __str__(self) -> str:
        return f"{self.name}: {self.text}"


def forced_push(ref: str, resolved: Mapping[str, Any]) -> list[Finding]:
    """Return that the branch was pushed by force, if it was: what ran before is no longer in its past."""
    if not resolved.get("forced"):
        return []
    before, now = short(resolved["before"]), short(resolved["commit"])
    return [Finding(FORCED_PUSH, f"{ref} was {before} and is now {now}, which does not contain it")]


def of_parsing(answer: Mapping[str, Any], folder: str, served: Collection[str], limit_s: int) -> list[Finding]:
    """Return what speaks against a release whose DAGs were parsed: `folder` is theirs in the repository."""

    def place(name: str) -> str:
        return name if folder == "." else f"{folder}/{name}"

    found = [_import_error(place(name), error) for name, error in sorted(answer["errors"].items())]
    for name, error in sorted(answer["duplicates"].items()):
        found.append(Finding(f"duplicate:{error['dag']}", f"{place(name)}: {error['error']}"))
    for dag, runs in sorted(answer["vanished"].items()):
        found.append(Finding(f"vanished:{dag}", f"no file has this DAG any more, and {runs} of its runs are under way"))
    for queue, tasks in sorted(answer["queues"].items()):
        if queue not in served:
            found.append(Finding(f"unserved-queue:{queue}", f"no worker takes from it; tasks: {', '.join(tasks)}"))
    if answer["ended"]:
        found.append(Finding(f"import-error:{place(answer['ended'])}", "the parser itself ended at this file"))
    if answer["late"]:
        late = ", ".join(place(name) for name in answer["late"][:3])
        found.append(Finding(TOO_LONG, f"{len(answer['late'])} files were not reached in {limit_s} s: {late}"))
    if answer["stuck"]:
        found.append(Finding(TOO_LONG, f"{place(answer['stuck'])} did not end within {limit_s} s"))
    return found


def _import_error(place: str, error: Mapping[str, Any]) -> Finding:
    line = f"line {error['line']}: " if error["line"] else ""
    kind = TOO_LONG if "DagBag import timeout" in error["error"] else "import-error"
    return Finding(f"{kind}:{place}", f"{line}{error['error']}")


def accepted_names(words: Iterable[str]) -> frozenset[str]:
    """Return the names in `--accept`, which may be given several times, each with commas."""
    return frozenset(name.strip() for word in words for name in word.split(",") if name.strip())


def refused(found: Iterable[Finding], accepted: Collection[str]) -> list[Finding]:
    """Return the findings that nobody accepted."""
    return [finding for finding in found if finding.name not in accepted]


def short(commit: object) -> str:
    """Return a commit as people write it."""
    return str(commit or "nothing")[:12]
