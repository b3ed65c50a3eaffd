"""DAG files and pools: can the files be imported, are they parsed, and is there room for what is scheduled."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airfleet.doctor.finding import Check, CouldNotLook, Fact, Finding, Layer, shown, sign_of, span

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airfleet.checkup import Checkup

STALE_PARSE_S = 300.0


def dags_broken(c: Checkup) -> Iterator[Finding]:
    """DAG files that can't be imported: their old DAGs run on from the database."""
    errors = c.airflow.get("import_errors")
    if errors is None:
        raise CouldNotLook("import errors")
    late = [each for each in errors if each["late"]]
    if not errors or (late and len(late) == len(errors)):
        return
    broken = (c.airflow.get("dags") or {}).get("broken")
    facts = [
        Fact(str(each["file"]), f"{str(each['error']).strip().splitlines()[-1][:160]} ({span(each['age_s'])} ago)")
        for each in errors[:3]
    ]
    facts.append(Fact("DAGs of such files", f"{broken} still run as they were parsed before"))
    yield Finding(
        "dag-import-error",
        Layer.DAGS,
        shown(len(errors), "DAG file"),
        "can't be imported",
        tuple(facts),
        "changes to these DAGs do not arrive; new DAGs of theirs do not appear",
        "fab rollback --dry-run",
        then="fab rollback, or a mended commit and fab deploy; then fab doctor",
    )


def not_parsed(c: Checkup) -> Iterator[Finding]:
    """DAG files that take too long, or that nobody parses any more."""
    dags = c.airflow.get("dags")
    if not dags:
        raise CouldNotLook("when DAGs were parsed")
    errors = c.airflow.get("import_errors") or []
    late = [each for each in errors if each["late"]]
    signs = [(name, sign) for name, host in c.hosts.items() if (sign := sign_of(host, "parse-timeout"))]
    signs = [(name, sign) for name, sign in signs if sign["ago_s"] < STALE_PARSE_S]  # else it has ended since
    stale = dags["active"] and (dags["parsed_s"] is None or dags["parsed_s"] > STALE_PARSE_S)
    if not late and not stale and not signs:
        return
    facts = [Fact(str(each["file"]), str(each["error"]).strip().splitlines()[-1][:160]) for each in late[:2]]
    facts += [Fact(f"journal of {sign['unit']} on {name}", str(sign["last"])[:160]) for name, sign in signs[:2]]
    facts.append(Fact("the newest parse of any DAG", f"{span(dags['parsed_s'])} ago"))
    facts.append(Fact("DAGs that wait to be parsed anew", str(dags["active"])))
    yield Finding(
        "dag-processor-down",
        Layer.DAGS,
        "DAG files",
        "are not parsed any more" if stale else "take too long to parse, and are given up",
        tuple(facts),
        "new code of these DAGs does not arrive",
        "fab runbook dag-processor-down",
    )


def pools_full(c: Checkup) -> Iterator[Finding]:
    """Tasks wait for a slot of a pool: no fault, but why nothing happens."""
    pools = c.airflow.get("pools")
    if pools is None:
        raise CouldNotLook("pools")
    for pool in pools:
        if pool["scheduled"] and pool["slots"] >= 0 and pool["taken"] >= pool["slots"]:
            yield Finding(
                "capacity",
                Layer.CAPACITY,
                f"pool {pool['pool']}",
                "has no free slot",
                (
                    Fact("slots", f"{pool['taken']} of {pool['slots']} are taken"),
                    Fact("scheduled tasks that wait for one", str(pool["scheduled"])),
                ),
                "they start when others end; nothing is broken",
                f'fab airflow "pools get {pool["pool"]}"',
                latent=True,
            )


CHECKS = (
    Check("DAG imports", dags_broken, quick=True),
    Check("DAGs are parsed", not_parsed, quick=True),
    Check("pools have room", pools_full),
)
