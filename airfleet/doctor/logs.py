"""Task logs: can they be written, read from another host, and kept in the bucket; and the certificate of the pages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airfleet import log_servers
from airfleet.doctor.finding import STARTING_S, Check, CouldNotLook, Fact, Finding, Layer, sign_of, told_by
from airfleet.layout import layout_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airfleet.checkup import Checkup

WARN_DAYS = 21


def not_writable(c: Checkup) -> Iterator[Finding]:
    """Something in the folder of logs belongs to somebody else: tasks that log there fail at once."""
    for name, host in c.hosts.items():
        if host.get("logs") is None:
            raise CouldNotLook(f"the folder of logs on {name}")
        foreign = host["logs"]["foreign"]
        if not foreign:
            continue
        owner, _, path = foreign.partition(" ")
        facts = [
            Fact(f"find {layout_of(c.inventory).logs} ! -user {c.inventory.airflow.account}", path),
            Fact(f"stat {path}", f"belongs to {owner}"),
        ]
        facts += told_by(host, "permission")
        yield Finding(
            "logs-not-writable",
            Layer.HOST,
            f"{name}: {path}",
            f"belongs to {owner}, not to {c.inventory.airflow.account}",
            tuple(facts),
            "tasks that would log below it fail at once, without a log",
            "fab runbook logs-not-writable",
            host=name,
        )


def unreachable(c: Checkup) -> Iterator[Finding]:
    """The web pages can't reach the log server of a host that ran tasks; one that has just started may not listen."""
    for name in c.inventory.with_role("webserver"):
        reach = (c.hosts.get(name) or {}).get("log_servers")
        if reach is None:
            continue
        names = {log_servers.address(c.inventory, host): host_name for host_name, host in c.inventory.hosts.items()}
        reach = {names.get(where, where): says for where, says in reach.items()}
        reach = {where: says for where, says in reach.items() if not _is_starting(c, where)}
        bad = {where: says for where, says in reach.items() if says != "ok"}
        if not bad:
            continue
        facts = [Fact(f"a connection from {name} to the log server of {where}", says) for where, says in bad.items()]
        good = [where for where, says in reach.items() if says == "ok"]
        facts.append(Fact("the same to the others", f"{', '.join(good)} answer" if good else "there are none"))
        yield Finding(
            "log-unreachable",
            Layer.WORK,
            ", ".join(bad),
            "the web pages can't reach its log server",
            tuple(facts),
            "logs of tasks that run there can't be read; the tasks go on",
            "fab runbook log-unreachable",
            host=next(iter(bad)) if len(bad) == 1 else "",
        )


def _is_starting(c: Checkup, host: str) -> bool:
    unit = c.unit(host, "airflow-logs.service")
    return unit.get("active") == "active" and (unit["started_s"] or 0) < STARTING_S


def bucket(c: Checkup) -> Iterator[Finding]:
    """Logs could not be written to the bucket, or read from it."""
    for name, host in c.hosts.items():
        if c.inventory.logging.bucket and (sign := sign_of(host, "gcs")):
            yield Finding(
                "gcs-denied",
                Layer.WORK,
                name,
                f"logs do not reach gs://{c.inventory.logging.bucket}",
                (
                    Fact(f"journal of {sign['unit']}", str(sign["last"])[:160]),
                    Fact("how often in the last hour", str(sign["count"])),
                ),
                "tasks go on; their logs stay on the hosts, and the web pages may not find them",
                "fab runbook gcs-denied",
                host=name,
            )


def certificate(c: Checkup) -> Iterator[Finding]:
    """The certificate that the web pages show has expired, or will soon."""
    for name, host in c.hosts.items():
        seen = host.get("certificate")
        if not seen or seen["days"] is None or seen["days"] > WARN_DAYS:
            continue
        expired = seen["days"] < 0
        yield Finding(
            "tls-expired",
            Layer.HOST,
            c.inventory.airflow.base_url,
            "its certificate has expired" if expired else f"its certificate expires in {seen['days']} days",
            (
                Fact(f"the certificate that {name} is shown", f"ends {seen['ends']}"),
                Fact("whom it is for", str(seen["subject"])),
            ),
            "browsers and API clients refuse the pages" if expired else "none yet",
            "fab runbook tls-expired",
            latent=not expired,
        )
        return


CHECKS = (
    Check("logs can be written", not_writable),
    Check("logs can be read", unreachable),
    Check("logs reach the bucket", bucket),
    Check("certificate", certificate),
)
