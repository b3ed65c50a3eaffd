"""The lowest layer: is the host there, has it room and memory, and does its clock go right."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airfleet.doctor.finding import Check, CouldNotLook, Fact, Finding, Layer, sign_of, told_by

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airfleet.checkup import Checkup

FULL, FILLING = 98, 90
CLOCK_S = 5.0
GRACE_S = 30  # Airflow's own, for requests for logs (log_request_clock_grace)
LOW_MEMORY = 0.03


def unreachable(c: Checkup) -> Iterator[Finding]:
    """A host that can't be asked: nothing else is known of it."""
    for name, why in c.unreachable.items():
        others = [other for other in c.hosts if other != name]
        yield Finding(
            "host-unreachable",
            Layer.HOST,
            name,
            "cannot be asked over SSH",
            (
                Fact(f"ssh {c.inventory.hosts[name].address}", why),
                Fact("the other hosts", f"{', '.join(others)} answer" if others else "no host answers"),
            ),
            f"its services ({', '.join(c.inventory.hosts[name].roles)}) may or may not run; a deploy will refuse",
            "fab runbook host-unreachable",
            host=name,
            explains=frozenset(
                {"worker-wedged", "queue-without-consumer", "scheduler-hung", "triggerer-down", "redis-down"}
            ),
        )


def disk_full(c: Checkup) -> Iterator[Finding]:
    """A folder that a service writes to is on a full file system: of bytes, or of inodes."""
    for name, host in c.hosts.items():
        if not host.get("host"):
            raise CouldNotLook(f"disks of {name}")
        seen = set()
        for folder, disk in sorted(host["host"]["disks"].items(), key=lambda each: -len(each[0])):
            fullest = max(disk["percent"], disk["inodes_percent"])
            if fullest < FILLING or disk["device"] in seen:
                continue
            seen.add(disk["device"])
            what = "inodes" if disk["inodes_percent"] > disk["percent"] else "bytes"
            evidence = [Fact(f"df {folder}", f"{fullest} % of its {what} used, {disk['free_mb']} MB free")]
            if eaters := disk.get("eaters"):
                evidence.append(Fact(f"du {folder}", ", ".join(f"{path} {size} MB" for size, path in eaters[:3])))
            if sign := sign_of(host, "no-space"):
                evidence.append(Fact("journals of the last hour", f"{sign['count']} × {sign['last']}"))
            if fullest >= FULL and len(evidence) == 1:
                evidence.append(Fact(f"df -i {folder}", f"{disk['inodes_percent']} % of its inodes used"))
            yield Finding(
                "disk-full",
                Layer.HOST,
                f"{name}: {folder}",
                f"{'is full' if fullest >= FULL else 'is filling up'} ({fullest} % of its {what})",
                tuple(evidence),
                "tasks fail or stay queued, Redis and PostgreSQL stop writing" if fullest >= FULL else "none yet",
                "fab runbook disk-full",
                host=name,
                latent=fullest < FULL,
                explains=frozenset({"redis-refuses-writes", "crash-loop", "worker-wedged", "scheduler-hung"}),
            )


def clock_skew(c: Checkup) -> Iterator[Finding]:
    """A host whose clock goes wrong: requests for logs are refused, and tokens expire."""
    for name, (offset, uncertainty) in c.clocks.items():
        if abs(offset) - uncertainty < CLOCK_S:
            continue
        others = [f"{other} {found[0]:+.1f} s" for other, found in c.clocks.items() if other != name]
        yield Finding(
            "log-403",
            Layer.HOST,
            name,
            f"its clock is {abs(offset):.0f} s {'ahead of' if offset > 0 else 'behind'} this computer's",
            (
                Fact(f"the clock of {name}", f"{offset:+.1f} s ± {uncertainty:.1f} s against this computer"),
                Fact("the clocks of the other hosts", ", ".join(others) or "there are none"),
            ),
            "the web pages get 403 for logs of its tasks; sessions and tokens expire at odd times",
            "fab runbook log-403",
            host=name,
            latent=abs(offset) < GRACE_S,
            about=frozenset({"clock"}),  # no command of ours brings that about
        )


def out_of_memory(c: Checkup) -> Iterator[Finding]:
    """The kernel killed something for memory in the last hour, or there is hardly any left."""
    for name, host in c.hosts.items():
        lines = (host.get("journal") or {}).get("oom") or []
        killed = [unit for unit, seen in (host.get("units") or {}).items() if seen["result"] == "oom-kill"]
        if lines or killed:
            facts = [Fact("kernel log of the last hour", lines[-1][:160])] if lines else []
            facts += [Fact(f"systemctl show {unit}", "Result=oom-kill") for unit in killed]
            facts += told_by(host, "killed-nine")
            yield Finding(
                "oom-killed",
                Layer.HOST,
                name,
                "the kernel killed processes because memory ran out",
                tuple(facts),
                "the tasks that it hit failed without an end in their log",
                "fab runbook oom-killed",
                host=name,
                explains=frozenset({"crash-loop", "zombie-task", "restart-killed-tasks"}),
            )
            continue
        memory = (host.get("host") or {}).get("memory") or {}
        if memory and memory["available_mb"] < LOW_MEMORY * memory["total_mb"]:
            yield Finding(
                "oom-killed",
                Layer.HOST,
                name,
                f"{memory['available_mb']} of {memory['total_mb']} MB of memory are left",
                (Fact("/proc/meminfo", f"MemAvailable {memory['available_mb']} MB"),),
                "none yet; the kernel may kill the largest process next",
                f"fab logs --only {name} --since 1h",
                host=name,
                latent=True,
            )


CHECKS = (
    Check("hosts answer", unreachable, quick=True),
    Check("disk", disk_full, quick=True),
    Check("clock", clock_skew, quick=True),
    Check("memory", out_of_memory),
)
