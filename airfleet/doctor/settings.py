"""Secrets, configuration, code and versions: the same everywhere, as they should be, and read by what runs."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from airfleet import tls_proxy, versions
from airfleet.doctor.finding import Check, CouldNotLook, Fact, Finding, Layer, service_of, shown, told_by
from airfleet.doctor.operation import SETTINGS
from airfleet.layout import REDIS_DROP_IN, layout_of
from airfleet.plan import describe

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from airfleet.checkup import Checkup
    from airfleet.model import Change

CONFIG_KINDS = frozenset({"file", "packages", "account", "directory"})
CODE_KINDS = frozenset({"release", "mirror"})
SHOWN = 3
OUR_DROP_INS = (REDIS_DROP_IN, tls_proxy.DROP_IN)


def fernet(c: Checkup) -> Iterator[Finding]:
    """A host, or one service of it, cannot decrypt the connections that Airflow stored."""
    for name, host in c.hosts.items():
        airflow = (host.get("stores") or {}).get("airflow") or {}
        for where, found in (airflow.get("undecryptable") or {}).items():
            if not found["undecryptable"] and _odd(c, "fernet_key", name, where) != "differs":
                continue
            facts = [
                Fact(
                    f"decrypting what is stored, on {name} with the key of {where}",
                    f"{found['undecryptable']} of {found['encrypted']} can't be read",
                ),
                Fact("the digest of the key, against the others", _odd(c, "fernet_key", name, where)),
            ]
            yield Finding(
                "fernet-mismatch",
                Layer.SETTINGS,
                f"{name} ({where})",
                "its Fernet key is not the one that connections and variables were stored with",
                tuple(facts),
                "its tasks fail with InvalidToken; the command line says `Connection not found`"
                if found["undecryptable"]
                else "none yet: nothing is stored that it would have to read",
                "fab runbook fernet-mismatch",
                host=name,
                latent=not found["undecryptable"],
                explains=frozenset({"unit-drift"}),
            )


def log_secret(c: Checkup) -> Iterator[Finding]:
    """The web server's secret key differs: it may not read the logs of another host's tasks."""
    for name, where in _odd_ones(c, "secret_key"):
        host = c.hosts[name]
        facts = [Fact(f"the digest of the secret key in {where} on {name}", "differs from all others")]
        if where != "airflow.cfg":
            variables = ((host.get("effective") or {}).get("overrides") or {}).get(where) or []
            facts.append(Fact(f"environment of {where} on {name}", f"sets {', '.join(variables)}"))
        else:
            facts.append(Fact("the others", _odd(c, "secret_key", name, where)))
        facts += told_by(host, "signature")
        yield Finding(
            "log-403",
            Layer.SETTINGS,
            f"{name} ({where})",
            "its secret key is not that of the others",
            tuple(facts),
            "the web pages get 403 for logs; sessions made by one host are refused by another",
            "fab runbook log-403",
            host=name,
            explains=frozenset({"unit-drift"}),
        )


def token_secret(c: Checkup) -> Iterator[Finding]:
    """Airflow 3: a process signs tokens of tasks with a secret that the others don't have."""
    for name, where in _odd_ones(c, "jwt_secret"):
        facts = [Fact(f"the digest of jwt_secret in {where} on {name}", "differs from all others")]
        facts += [fact for each, host in c.hosts.items() for fact in told_by(host, "jwt", each)][:1]
        if len(facts) == 1:
            facts.append(Fact("the others", _odd(c, "jwt_secret", name, where)))
        yield Finding(
            "jwt-mismatch",
            Layer.SETTINGS,
            f"{name} ({where})",
            "its secret for the tokens of tasks is not that of the others",
            tuple(facts),
            "the API server refuses the tokens: tasks fail as they begin, without a log",
            "fab runbook jwt-mismatch",
            host=name,
            explains=frozenset({"unit-drift"}),
        )


def drift(c: Checkup) -> Iterator[Finding]:
    """A unit, a configuration or a package is not as the inventory has it, or what runs has read something older."""
    for name, plan in c.plans.items():
        changes = [change for change in plan.changes if _is_config(c, change)]
        ours = {change.resource.key for change in changes}
        foreign = {
            unit: [path for path in seen["drop_ins"] if path not in OUR_DROP_INS]
            for unit, seen in ((c.hosts.get(name) or {}).get("units") or {}).items()
        }
        foreign = {unit: paths for unit, paths in foreign.items() if paths}
        overrides = ((c.hosts.get(name) or {}).get("effective") or {}).get("overrides") or {}
        if not changes and not foreign and not overrides:
            continue
        facts = [Fact("fab plan", describe(change)) for change in changes[:SHOWN]]
        facts += [Fact(f"systemctl show {unit}", f"drop-in {', '.join(paths)}") for unit, paths in foreign.items()]
        facts += [Fact(f"the environment of {unit}", f"sets {', '.join(n)}") for unit, n in overrides.items()]
        if len(facts) == 1:
            facts.append(Fact("everything else on this host", "is as the inventory has it"))
        yield Finding(
            "unit-drift",
            Layer.SETTINGS,
            name,
            _drift_says(changes, foreign, ours),
            tuple(facts),
            "none known; a restart or a reboot may behave otherwise than what runs now",
            f"fab plan --only {name}",
            then=f"fab bootstrap --only {name}, then fab doctor",
            host=name,
            latent=True,
            about=_drift_about(changes, foreign, overrides),
        )


def _drift_about(changes: list[Change], *settings: Mapping[str, Any]) -> frozenset[str]:
    """Return the services whose process is stale; more than that is a matter of settings."""
    units = {service_of(change.resource.key) for change in changes if change.resource.kind == "unit"}
    only_units = all(change.resource.kind == "unit" for change in changes) and not any(settings)
    return frozenset(units if only_units else {*units, SETTINGS})


def _drift_says(changes: list[Change], foreign: Mapping[str, Any], ours: set[str]) -> str:
    files = [change for change in changes if change.resource.kind == "file"]
    if files:
        return f"{shown(len(files), 'file')} {'is' if len(files) == 1 else 'are'} not as the inventory has it"
    if changes:
        return f"{shown(len(ours), 'thing')} not as the inventory has it"
    return f"{', '.join(foreign) or 'a service'} has settings that no file of ours gives it"


def _is_config(c: Checkup, change: Change) -> bool:
    """Tell whether a change is about what was configured, not about whether a service runs or which code it has."""
    kind, key = change.resource.kind, change.resource.key
    if kind == "unit":
        seen = change.seen.state or {}
        return seen.get("active") == "active"
    return kind in CONFIG_KINDS or kind == "instances" or (kind == "link" and key == layout_of(c.inventory).venv)


def code(c: Checkup) -> Iterator[Finding]:
    """Hosts with different DAG code, or a release that was edited by hand."""
    commits = {name: (host.get("release") or {}).get("current") for name, host in c.hosts.items()}
    if any(commit is None for commit in commits.values()):
        raise CouldNotLook("the release of " + ", ".join(name for name, commit in commits.items() if commit is None))
    usual = Counter(commits.values()).most_common(1)
    odd = {name: str(commit) for name, commit in commits.items() if usual and commit != usual[0][0]}
    edited = {
        name: describe(change)
        for name, plan in c.plans.items()
        for change in plan.changes
        if change.resource.kind in CODE_KINDS and change.seen.state is not None
    }
    if odd:
        facts = [Fact(f"the release of {name}", str(commit)[:12]) for name, commit in commits.items()]
        yield Finding(
            "dag-checkout-drift",
            Layer.SETTINGS,
            ", ".join(odd),
            "runs other DAG code than the other hosts",
            tuple(facts),
            "tasks run old code, or fail because their DAG is not found, depending on the host",
            "fab deploy --dry-run",
            then="fab deploy, then fab doctor",
            explains=frozenset({"unit-drift"}),
        )
    for name, text in edited.items():
        if name in odd:
            continue
        yield Finding(
            "dag-checkout-drift",
            Layer.SETTINGS,
            name,
            "its DAG code was changed by hand",
            (Fact("fab plan", text), Fact("the release that it is said to be", str(commits.get(name))[:12])),
            "what runs there is in no commit; the next deploy puts it aside",
            f"fab plan --only {name}",
            then="fab bootstrap, then fab doctor",
            host=name,
        )


def version_skew(c: Checkup) -> Iterator[Finding]:
    """Hosts with other versions than the others, or a set that is known to be broken."""
    found = {name: host["versions"] for name, host in c.hosts.items() if host.get("versions")}
    links = {name: (host.get("release") or {}).get("venv") for name, host in c.hosts.items() if host.get("release")}
    for package in sorted({package for each in found.values() for package in each}):
        each = {name: there.get(package, "none") for name, there in found.items()}
        if len(set(each.values())) > 1:
            usual = Counter(each.values()).most_common(1)[0][0]
            by_hand = [name for name, plan in c.plans.items() if any(r.resource.kind == "venv" for r in plan.changes)]
            odd = by_hand or [name for name, version in each.items() if version != usual]
            facts = [Fact(f"{package} on {name}", version) for name, version in each.items()]
            facts += [Fact(f"environment of {name}", str(link)) for name, link in links.items()]
            yield Finding(
                "version-skew",
                Layer.SETTINGS,
                ", ".join(odd),
                f"has another version of {package} than the other hosts",
                tuple(facts),
                "tasks sent by one version may not be understood by another",
                "fab plan",
                then="fab bootstrap, then fab doctor",
                explains=frozenset({"unit-drift", "crash-loop"}),
            )
            return
    wrong = {name: versions.refusals(dict(there), c.inventory.airflow.version, "") for name, there in found.items()}
    wrong = {name: reasons for name, reasons in wrong.items() if reasons}
    if wrong:
        facts = [Fact(f"packages on {name}", reasons[0]) for name, reasons in wrong.items()]
        for name in wrong:
            facts += told_by(c.hosts[name], "unregistered", name)
        facts += [Fact(f"environment of {name}", str(links.get(name))) for name in wrong]
        yield Finding(
            "version-skew",
            Layer.SETTINGS,
            ", ".join(wrong),
            "has a set of packages that is known not to work",
            tuple(facts),
            "workers discard tasks, or take them and run nothing",
            "fab plan",
            then="fab bootstrap, then fab doctor",
            explains=frozenset({"worker-wedged"}),
        )


def migration(c: Checkup) -> Iterator[Finding]:
    """The database is behind the code, or ahead of it."""
    seen = c.airflow.get("revision")
    if not seen:
        raise CouldNotLook("the revision of the database")
    if seen["revision"] == seen["head"] and not seen["missing"]:
        return
    facts = [
        Fact("alembic_version in the database", str(seen["revision"])),
        Fact(f"the newest revision of the installed Airflow {seen['airflow']}", str(seen["head"])),
    ]
    if seen["missing"]:
        facts.append(Fact("tables", f"missing: {', '.join(seen['missing'])}"))
    known = seen["known"] or seen["revision"] is None
    yield Finding(
        "migration-pending" if known else "version-skew",
        Layer.SETTINGS,
        "the metadata database",
        "is behind the installed Airflow" if known else "was migrated by a newer Airflow than the hosts have",
        tuple(facts),
        "services that restart do not come up; a worker comes up without complaint and then fails",
        "fab plan",
        then="fab bootstrap, then fab doctor",
        explains=frozenset({"crash-loop", "scheduler-hung", "triggerer-down", "unit-drift"}),
    )


def _odd_ones(c: Checkup, setting: str) -> list[tuple[str, str]]:
    """Return (host, where) of the digests of a setting that are not the most frequent one."""
    found = {
        (name, where): each[setting]
        for name, host in c.hosts.items()
        for where, each in ((host.get("effective") or {}).get("digests") or {}).items()
        if setting in each
    }
    usual = Counter(found.values()).most_common(1)
    disk = [value for (_, where), value in found.items() if where == "airflow.cfg"]
    right = disk[0] if len(set(disk)) == 1 else (usual[0][0] if usual else "")
    return [place for place, value in found.items() if value != right]


def _odd(c: Checkup, setting: str, name: str, where: str) -> str:
    return "differs" if (name, where) in _odd_ones(c, setting) else "the same"


CHECKS = (
    Check("Fernet key", fernet),
    Check("web server's secret key", log_secret),
    Check("secret of the tasks' tokens", token_secret, service="api-server"),
    Check("DAG code the same everywhere", code, quick=True),
    Check("versions", version_skew),
    Check("database migrated", migration),
    Check("units and configuration", drift),
)
