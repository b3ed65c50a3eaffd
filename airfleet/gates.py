"""What may say no before a change: the settings that Airflow would ignore, the packages that don't work together."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from airfleet import lint, versions
from airfleet.airflow_cfg import settings, storage_environment
from airfleet.errors import GateRefused, UsageError
from airfleet.generations import generation_of

if TYPE_CHECKING:
    from airfleet.inventory import Airflow, Inventory
    from airfleet.model import Words
    from airfleet.remote import Host
    from airfleet.secrets import Secrets


def constraints_of(inventory: Inventory) -> Words:
    """Return the constraints as the hosts get them: a URL that they fetch, or the text of a file that is here.

    With the distribution's Python a name with {python} in it stands for several files: each host takes its own. A file
    that pins packages which are known not to work together is refused before anything is contacted.
    """
    airflow = inventory.airflow
    if airflow.constraints_are_remote:
        return {"url": airflow.constraints_for("{python}")}
    if airflow.python_minor or "{python}" not in airflow.constraints:
        return {"text": _constraints_in(Path(airflow.constraints_for(airflow.python_minor or "")), airflow)}
    paths = {minor: Path(airflow.constraints_for(minor)) for minor in versions.PYTHONS[airflow.version]}
    there = {minor: path for minor, path in paths.items() if path.exists()} or paths
    return {"texts": {minor: _constraints_in(path, airflow) for minor, path in there.items()}}


def _constraints_in(path: Path, airflow: Airflow) -> str:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as e:
        raise UsageError(
            f"the constraints file {path} can't be read: {getattr(e, 'strerror', None) or e}",
            place="airflow.constraints",
            remedy="name a file beside the inventory, or a URL",
            state="nothing was contacted",
        ) from e
    python = "" if airflow.python == "system" else airflow.python
    if refused := versions.refusals(versions.read_constraints(text), airflow.version, python):
        raise UsageError(
            "this set of packages installs and then does not work:\n    " + "\n    ".join(refused),
            place="airflow.constraints",
            remedy=f"correct {path.name}",
            state="nothing was contacted",
        )
    return text


def lint_findings(host: Host, inventory: Inventory, secrets: Secrets, venv: str) -> list[lint.Finding]:
    """Return the settings that the Airflow in an environment of this host would ignore, or knows otherwise."""
    catalogue = host.call("catalogue", {"venv": venv, "account": inventory.airflow.account})
    wanted = settings(inventory, inventory.hosts[host.name], secrets)
    return lint.lint(wanted, lint.make_catalogue(catalogue), generation_of(inventory.airflow.version))


def lint_config(host: Host, inventory: Inventory, secrets: Secrets, venv: str) -> None:
    """Refuse an airflow.cfg with such a setting."""
    if findings := lint_findings(host, inventory, secrets, venv):
        raise GateRefused(
            "settings that would not do what they say:\n    " + "\n    ".join(str(finding) for finding in findings),
            place=f"{host.name} airflow.cfg",
            remedy="correct airflow.config in the inventory",
            state="no configuration was changed",
        )


def try_bucket(host: Host, inventory: Inventory, venv: str) -> str:
    """Have the host write, read, list and delete an object where task logs go, with the login that it will have there.

    Returns what was done, "" without a bucket; raises GateRefused naming what is refused, by whom and for whom.
    """
    logging = inventory.logging
    if not logging.bucket:
        return ""
    words: Words = {"venv": venv, "account": inventory.airflow.account, "environment": storage_environment(inventory)}
    answer = host.call("probe_bucket", words | {"bucket": logging.bucket, "prefix": logging.prefix})
    return f"gs://{logging.bucket}/{logging.prefix}: {answer['did']}, as {answer['who']}"
