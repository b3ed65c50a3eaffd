"""The way back from an upgrade: by itself as long as the database was not migrated, by a backup after that."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airfleet import bootstrap_run, gates, manifest, records, session
from airfleet.backups import Backups, Where
from airfleet.desired import Target, stages_of
from airfleet.errors import FleetError, RolloutStopped
from airfleet.layout import layout_of, venv_target
from airfleet.metadata import database_host
from airfleet.upgrade_steps import end_maintenance, forget_messages, stop_all
from airfleet.upgrade_versions import with_version, write_version

if TYPE_CHECKING:
    from airfleet.bootstrap_run import Screen
    from airfleet.manifest import Backup
    from airfleet.model import Words
    from airfleet.session import Fleet


def undo_remedy(name: str) -> str:
    """Return the command that goes back to a backup."""
    return f"fab undo-upgrade {name}"


def undo(env: str, name: str, screen: Screen) -> None:
    """Bring back the Airflow and the database that a backup has; what was done since the backup is lost."""
    manifest.check_name(name, "undo-upgrade")
    with session.opened(env, doing="undo-upgrade", connect=True) as fleet, fleet.locked():
        backup = Backups(fleet, screen, Where()).find(name)
        old, new = with_version(fleet, str(backup.airflow)), with_version(fleet, _installed(fleet))
        entry = records.entry("undo-upgrade", backup=backup.name, ref=old.inventory.airflow.version)
        with records.recorded(fleet, entry, screen.say):
            restored(old, new, backup, screen)
        if old.inventory != fleet.inventory:
            write_version(fleet, old.inventory.airflow.version, screen)
    screen.say(f"done: Airflow {old.inventory.airflow.version} runs on {backup}", "bold green")


def put_back(
    error: FleetError,
    old: Fleet,
    new: Fleet,
    screen: Screen,
    entry: Words,
    *,
    backup: Backup | None,
    restore: bool,
) -> FleetError:
    """Return the error to raise for an upgrade that failed, having gone back as far as can be gone by itself."""
    before = old.inventory.airflow.version
    try:
        migrated = backup is not None and not _is_at_rest(old)
        if migrated and not restore:
            entry["result"] = "stopped"
            return RolloutStopped(
                error.problem,
                place=error.place,
                remedy=f"mend it, then: fab bootstrap with airflow.version {new.inventory.airflow.version}, and"
                f" fab maintenance.off; or go back: {undo_remedy(backup.name if backup else 'latest')}",
                state="the database is migrated already, so that nothing goes back by itself; maintenance is on",
            )
        screen.say(f"putting Airflow {before} back", "bold")
        if migrated and backup is not None:
            restored(old, new, backup, screen)
        else:
            bootstrap_run.converge_to(old, screen)
            end_maintenance(old, screen)
    except FleetError as e:
        entry["result"] = "stopped"
        name = backup.name if backup else "latest"
        return RolloutStopped(
            f"{error.problem}\n  and Airflow {before} could not be put back: {e.place}: {e.problem}",
            place=error.place,
            remedy=f"mend that, then: fab bootstrap, fab maintenance.off; the database's backup is {name}",
            state=e.state,
        )
    entry["result"] = "put back"
    return RolloutStopped(
        error.problem,
        place=error.place,
        remedy="mend it, then rehearse: fab upgrade --rehearse",
        state=f"Airflow {before} runs as before, every service is well"
        + (", on the database as it was before the migration" if migrated else ""),
    )


def restored(old: Fleet, new: Fleet, backup: Backup, screen: Screen) -> None:
    """Stop what runs, put the backup back, bring the old Airflow back, end maintenance; typed again it begins anew."""
    try:
        _restore(old, new, backup, screen)
    except FleetError as e:
        e.remedy = e.remedy or f"mend it, then again: {undo_remedy(backup.name)}"
        version = old.inventory.airflow.version
        e.state = (
            f"on the way back to Airflow {version}: services may be stopped, DAGs paused; of the last step: {e.state}"
        )
        raise


def _restore(old: Fleet, new: Fleet, backup: Backup, screen: Screen) -> None:
    stop_all(new, screen)
    backups = Backups(new, screen, Where())
    tell = backups.tell(backup.name)
    screen.step(backups.host.name, ("restore", backup.name), "")
    with backups.store.on_host(backup, tell) as path:
        answer = backups.ask("backup_restore", backup, path)
    screen.probed(f"{backup.name} restored in {answer['seconds']} s: {answer['rows']} rows")
    # The backup was made during maintenance: its DAGs are paused in it, and this is what unpauses them.
    backups.host.call("maintenance_recall", {"record": backup.words.get("maintenance")})
    forget_messages(new, old, screen)
    bootstrap_run.converge_to(old, screen)
    end_maintenance(old, screen)


def _installed(fleet: Fleet) -> str:
    """Return the version of Airflow that is installed and linked to, whatever the inventory says."""
    target = Target(fleet.inventory, fleet.secrets, gates.constraints_of(fleet.inventory))
    _, facts = bootstrap_run.look(target, fleet.hosts, fleet.look)
    found = facts[database_host(fleet.inventory)]["schema", "metadata"].detail.get("airflow")
    return str(found or fleet.inventory.airflow.version)


def _is_at_rest(old: Fleet) -> bool:
    """Tell whether the database is still as the old Airflow wants it, by that one's own environment."""
    target = Target(old.inventory, old.secrets, gates.constraints_of(old.inventory))
    target, _ = bootstrap_run.look(target, old.hosts, old.look)
    name = database_host(old.inventory)
    stages = stages_of(target, old.inventory.hosts[name])
    schema: Any = next(r for stage in stages for r in stage.resources if r.kind == "schema")
    venv = f"{layout_of(old.inventory).versions}/{venv_target(target.venv_digest)}"
    asked = replace(schema, ask={**schema.ask, "venv": venv})
    seen = old.hosts[name].look([asked])
    return bool(seen[schema.kind, schema.key].state == schema.state)
