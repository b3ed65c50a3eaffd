"""What `fab doctor` prints: causes with their evidence first, then what is latent, then what is fine. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airfleet.doctor.diagnosis import Diagnosis
    from airfleet.doctor.finding import Finding

MARKS = {"cause": "✗ CAUSE  ", "suspect": "? SUSPECT", "latent": "! LATENT "}
COLOURS = {"cause": "bold red", "suspect": "bold yellow", "latent": "yellow"}


def lines(d: Diagnosis, took_s: float, *, verbose: bool) -> Iterator[tuple[str, str]]:
    """Yield each line with its style."""
    for number, cause in enumerate(d.causes):
        yield from _finding(cause, d.effects.get(number, ()), whole=True)
    yield from _operation(d)
    for finding in d.latent:
        yield from _finding(finding, (), whole=verbose)
    for crash in d.crashed:
        yield f"☠ a check itself failed: {crash}", "bold red"
    if d.unknown:
        yield "Could not look: " + "; ".join(d.unknown), "yellow"
    count = len(d.fine)
    if d.well:
        yield f"Nothing wrong that can be seen. {count} checks in {took_s:.1f} s.", "green"
        return
    yield f"Looked, fine: {', '.join(d.fine)}.", "dim"
    causes = f"{len(d.causes)} cause{'' if len(d.causes) == 1 else 's'}"
    held = f"{len(d.held)} held back, " if d.held else ""
    yield f"{causes}, {held}{len(d.latent)} latent, {count} checks fine, in {took_s:.1f} s.", ""


def _operation(d: Diagnosis) -> Iterator[tuple[str, str]]:
    if d.held:
        yield f"~ held back while {d.operation}:", "cyan"
        for finding, why in d.held:
            yield f"  {finding.id}: {finding.where} {finding.says} ({why})", "cyan"
    elif d.operation:
        yield f"~ {d.operation}", "yellow" if d.operation.stuck else "cyan"


def operation_json(d: Diagnosis) -> dict[str, Any]:
    """Return who is at work, and what that holds back, for a machine."""
    of = d.operation
    return {
        "operation": of and {"doing": of.doing, "who": of.who, "since": of.since, "age_s": of.age_s, "stuck": of.stuck},
        "held_back": [{"id": f.id, "where": f.where, "says": f.says, "why": why} for f, why in d.held],
    }


def _finding(f: Finding, effects: tuple[Finding, ...], *, whole: bool) -> Iterator[tuple[str, str]]:
    yield f"{MARKS[f.kind]}  {f.id}   {f.where} {f.says}", COLOURS[f.kind]
    if whole:
        for number, fact in enumerate(f.evidence):
            yield f"  {'evidence' if not number else '':<9} {fact.asked}: {fact.saw}", ""
        yield f"  impact    {f.impact}", ""
    for number, effect in enumerate(effects):
        yield f"  {'effects' if not number else '':<9} {effect.id}: {effect.where} {effect.says}", "dim"
    yield f"  runbook   fab runbook {f.id}{f' --host {f.host}' if f.host else ''}", ""
    yield f"  next      {f.next}", "bold" if whole else ""
    if whole:
        yield f"  then      {f.then}", ""
        yield "", ""


def as_json(d: Diagnosis) -> dict[str, Any]:
    """Return the same for a machine."""
    return {
        "causes": [
            {**_plain(cause), "effects": [_plain(effect) for effect in d.effects.get(number, ())]}
            for number, cause in enumerate(d.causes)
        ],
        **operation_json(d),
        "latent": [_plain(finding) for finding in d.latent],
        "fine": list(d.fine),
        "unknown": list(d.unknown),
        "crashed": list(d.crashed),
    }


def _plain(f: Finding) -> dict[str, Any]:
    return {
        "id": f.id,
        "kind": f.kind,
        "layer": f.layer.name.lower(),
        "where": f.where,
        "says": f.says,
        "evidence": [{"asked": fact.asked, "saw": fact.saw} for fact in f.evidence],
        "impact": f.impact,
        "next": f.next,
        "then": f.then,
        "runbook": f"docs/runbooks/{f.id}.md",
    }
