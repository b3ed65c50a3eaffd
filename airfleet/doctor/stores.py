"""Redis and PostgreSQL: are they there, do they let us in, and do they take a write."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airfleet.auth_proxy import AUTH_PROXY_UNIT, SERVICE
from airfleet.doctor.finding import Check, CouldNotLook, Fact, Finding, Layer, span, told_by
from airfleet.units import REDIS_UNIT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from airfleet.checkup import Checkup

AWAY = frozenset({"refused", "unreachable", "silent", "dropped", "name", "loading", "stranger"})
READ_ONLY = frozenset({"oom", "misconf", "readonly"})
BARRED = frozenset({"password", "nopassword", "permission", "protected"})
BROKER_EFFECTS = frozenset(
    {
        *("worker-wedged", "queue-without-consumer", "crash-loop", "worker-dead-after-broker-restart"),
        *("service-stopped", "queue-db-disagree", "redis-auth", "capacity"),
        "scheduler-hung",  # with every task that waits to be sent, its heart stands still for seconds
    }
)
DATABASE_EFFECTS = frozenset(
    {
        *("scheduler-hung", "triggerer-down", "dag-processor-down", "crash-loop", "zombie-task", "migration-pending"),
        *("service-stopped", "web-silent", "worker-wedged"),
    }
)
ALMOST = 0.9


def _answers(c: Checkup, store: str) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Yield (host, where the address stands, answer) for each way in which a host reaches a store."""
    for name, host in c.hosts.items():
        if host.get("stores") is None:
            raise CouldNotLook(f"{store} from {name}")
        for where, answer in (host["stores"].get(store) or {}).items():
            yield name, where, answer


def redis_down(c: Checkup) -> Iterator[Finding]:
    """Nobody answers where Redis should be, or not from everywhere."""
    bad = [(host, answer) for host, _, answer in _answers(c, "redis") if answer.get("reason") in AWAY]
    if not bad:
        return
    name = c.inventory.with_role("redis")[0]
    unit = c.unit(name, REDIS_UNIT)
    facts = [Fact(f"a new connection from {host}", str(answer["says"])) for host, answer in bad]
    if unit:
        facts.append(Fact(f"systemctl status {REDIS_UNIT} on {name}", f"{unit['active']} for {span(unit['since_s'])}"))
    running = unit.get("active") == "active"
    loading = any(answer["reason"] == "loading" for _, answer in bad)
    says = "is loading its data" if loading else ("runs, but cannot be reached" if running else "is not running")
    yield Finding(
        "redis-down",
        Layer.STORES,
        f"{name}: Redis",
        says,
        tuple(facts),
        "new tasks go from queued straight to failed; running tasks end, and their results are lost",
        f"fab status --only {name}" if running else "fab start --service redis",
        then="fab doctor, then clear the tasks that failed meanwhile",
        explains=BROKER_EFFECTS,
        since_s=None if running else unit.get("since_s"),
    )


def redis_refuses_writes(c: Checkup) -> Iterator[Finding]:
    """Redis answers PING and refuses every write: it is full, or cannot save."""
    bad = [(host, answer) for host, _, answer in _answers(c, "redis") if answer.get("reason") in READ_ONLY]
    if not bad:
        return
    host, answer = bad[0]
    info = answer["info"]
    facts = [Fact(f"SET from {host}", str(answer["says"]))]
    if info.get("maxmemory"):
        facts.append(Fact("INFO memory", f"{_mb(info['used_memory'])} used of maxmemory {_mb(info['maxmemory'])}"))
    if info.get("rdb_last_bgsave_status") == "err" or info.get("aof_last_write_status") == "err":
        facts.append(Fact("INFO persistence", "the last save failed: look at its disk"))
    yield Finding(
        "redis-refuses-writes",
        Layer.STORES,
        f"{c.inventory.with_role('redis')[0]}: Redis",
        "answers, and refuses every write",
        tuple(facts),
        "no task can be queued, no result stored; running tasks go on",
        "fab runbook redis-refuses-writes",
        explains=BROKER_EFFECTS,
    )


def redis_evicts(c: Checkup) -> Iterator[Finding]:
    """A broker that may throw messages away when it is full."""
    for host, _, answer in _answers(c, "redis"):
        policy = (answer.get("info") or {}).get("maxmemory_policy")
        if policy and policy != "noeviction":
            yield Finding(
                "redis-refuses-writes",
                Layer.STORES,
                "Redis",
                f"its maxmemory-policy is {policy}: when it is full it throws queued tasks away",
                (
                    Fact(f"INFO memory from {host}", f"maxmemory_policy:{policy}"),
                    Fact("the inventory", "noeviction"),
                ),
                "none yet",
                "fab bootstrap",
                latent=True,
            )
            return


def redis_auth(c: Checkup) -> Iterator[Finding]:
    """Redis does not let in who comes with the password of a host's files: old connections go on until a restart."""
    bad = [(host, where, a) for host, where, a in _answers(c, "redis") if a.get("reason") in BARRED]
    if not bad:
        return
    good = [host for host, _, answer in _answers(c, "redis") if answer.get("ok")]
    facts = [Fact(f"AUTH from {host} with what {where} says", str(answer["says"])) for host, where, answer in bad]
    facts.append(Fact("the same from the other hosts", f"{', '.join(good)} get in" if good else "nobody gets in"))
    for name, host in c.hosts.items():
        facts += told_by(host, "redis-password", name)
    wheres = ", ".join(f"{host} ({where})" for host, where, _ in bad)
    yield Finding(
        "redis-auth",
        Layer.STORES,
        wheres,
        "Redis refuses the password that the services would use",
        tuple(facts),
        "what runs goes on with its old connections; whatever restarts does not come up",
        "fab runbook redis-auth",
        explains=frozenset({"crash-loop", "worker-wedged", "queue-without-consumer", "service-stopped"}),
    )


def database_down(c: Checkup) -> Iterator[Finding]:
    """The database cannot be reached from a host, or does not know us."""
    away = {"refused", "silent", "name", "starting", "missing", "not-let-in", "other"}
    bad = [(host, answer) for host, _, answer in _answers(c, "database") if answer.get("reason") in away]
    if not bad:
        return
    good = [host for host, _, answer in _answers(c, "database") if answer.get("ok")]
    facts = [Fact(f"a new connection from {host} as Airflow's role", str(answer["says"])) for host, answer in bad]
    facts.append(Fact("the same from the other hosts", f"{', '.join(good)} get in" if good else "nobody gets in"))
    units = {host: c.unit(host, AUTH_PROXY_UNIT) for host, _ in bad if c.unit(host, AUTH_PROXY_UNIT)}
    facts += [
        Fact(f"systemctl status {AUTH_PROXY_UNIT} on {host}", str(unit["active"])) for host, unit in units.items()
    ]
    stopped = [host for host, unit in units.items() if unit["active"] == "inactive"]
    yield Finding(
        "db-down",
        Layer.STORES,
        "the metadata database",
        f"cannot be used from {', '.join(host for host, _ in bad)}" + (": its proxy is stopped" if stopped else ""),
        tuple(facts),
        "no task is scheduled or ends, the web pages fail; tasks that run go on until they report",
        f"fab start --service {SERVICE} --only {','.join(stopped)}" if stopped else "fab runbook db-down",
        explains=DATABASE_EFFECTS,
    )


def database_password(c: Checkup) -> Iterator[Finding]:
    """The database refuses the password on disk: what runs goes on, what restarts does not."""
    bad = [(host, where, a) for host, where, a in _answers(c, "database") if a.get("reason") == "password"]
    if not bad:
        return
    good = [host for host, _, answer in _answers(c, "database") if answer.get("ok")]
    facts = [Fact(f"a login from {host} with what {where} says", str(answer["says"])) for host, where, answer in bad]
    facts.append(Fact("the same from the other hosts", f"{', '.join(good)} get in" if good else "nobody gets in"))
    yield Finding(
        "db-password-rotated",
        Layer.STORES,
        ", ".join(f"{host} ({where})" for host, where, _ in bad),
        "the database refuses the password that the services would use",
        tuple(facts),
        "what runs goes on with its old connections; whatever restarts does not come up",
        "fab runbook db-password-rotated",
        explains=DATABASE_EFFECTS,
    )


def database_full(c: Checkup) -> Iterator[Finding]:
    """No connection is left for Airflow's role, or hardly any."""
    bad = [(host, answer) for host, _, answer in _answers(c, "database") if answer.get("reason") == "slots"]
    held = c.airflow.get("connections")
    if bad:
        facts = [Fact(f"a new connection from {host} as Airflow's role", str(answer["says"])) for host, answer in bad]
        for name, host in c.hosts.items():
            facts += told_by(host, "database-refuses", name)
        if len(facts) == 1:
            facts.append(Fact("PostgreSQL itself", "answers: it counts its connections and refuses one more"))
        yield Finding(
            "db-connections-exhausted",
            Layer.STORES,
            "the metadata database",
            "has no connection left for Airflow's role",
            tuple(facts),
            "services with open connections go on and look well; new tasks, restarts and the command line fail",
            "fab runbook db-connections-exhausted",
            explains=DATABASE_EFFECTS,
        )
    elif held:
        limit = held["most"] - held["reserved"]
        role = held["role_limit"]
        own, most = (held["own"], role) if 0 <= role < limit else (held["count"], limit)
        if own < ALMOST * most:
            return
        eaters = ", ".join(f"{e['user']} from {e['from'] or 'local'} {e['count']}" for e in held["eaters"][:3])
        yield Finding(
            "db-connections-exhausted",
            Layer.STORES,
            "the metadata database",
            f"{own} of {most} connections are in use",
            (Fact("pg_stat_activity", f"{own} of {most}"), Fact("who has them", eaters)),
            "none yet",
            "fab runbook db-connections-exhausted",
            latent=True,
        )


def database_lock(c: Checkup) -> Iterator[Finding]:
    """Somebody holds a lock that others wait for."""
    for blocker in c.airflow.get("blockers") or ():
        who = f"{blocker['application'] or 'somebody'} as {blocker['user']} (pid {blocker['pid']})"
        yield Finding(
            "db-lock",
            Layer.STORES,
            "the metadata database",
            f"{who} holds a lock that {blocker['waiting']} others wait for",
            (
                Fact("pg_blocking_pids", f"{blocker['waiting']} wait for pid {blocker['pid']}"),
                Fact("pg_stat_activity", f"{blocker['state']} for {span(blocker['since_s'])}: {blocker['query']}"),
            ),
            "whoever waits does nothing meanwhile: scheduler and triggerer first",
            "fab runbook db-lock",
            explains=DATABASE_EFFECTS,
        )
        return


def _mb(number: object) -> str:
    return f"{int(str(number)) / 2**20:.0f} MB"


CHECKS = (
    Check("Redis reachable", redis_down, quick=True),
    Check("Redis takes writes", redis_refuses_writes, quick=True),
    Check("Redis keeps messages", redis_evicts),
    Check("Redis password", redis_auth, quick=True),
    Check("database reachable", database_down, quick=True),
    Check("database password", database_password, quick=True),
    Check("database connections", database_full, quick=True),
    Check("database locks", database_lock, quick=True),
)
