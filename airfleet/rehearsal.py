"""The rehearsal of an upgrade: the new Airflow beside the old, tried on settings, a copy of the database, and DAGs."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from airfleet import airflow_cfg, bootstrap_run, findings, gates, rollout
from airfleet.desired import Target, stages_of
from airfleet.errors import GateRefused
from airfleet.findings import Finding
from airfleet.generations import generation_of
from airfleet.layout import layout_of, venv_target
from airfleet.metadata import database_host
from airfleet.model import Stage
from airfleet.plan import describe, make_plan
from airfleet.release_gate import served_queues, words_of

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from airfleet.backups import Backups
    from airfleet.bootstrap_run import Screen
    from airfleet.manifest import Backup
    from airfleet.model import Facts, Words
    from airfleet.session import Fleet

TOKEN = "airfleet_name_of_the_copy"  # noqa: S105  # stands for the name of a database
WELL = {"revision": "head", "tables": "there"}
SETTING, SCHEMA = "setting:", "schema"
RESTART_S = 90  # services stopped, configuration and units written, services started and probed
SHOWN = 5


@dataclass(frozen=True)
class Report:
    """What a copy of the database has shown."""

    migrate_s: float
    files: int
    dags: int
    found: list[Finding] = field(default_factory=list)

    def lines(self, backup_s: float) -> list[str]:
        """Return it in words; `backup_s` is how long the backup took, which is made again at rest."""
        away_s = self.migrate_s + backup_s + RESTART_S
        return [
            f"a copy of the database was migrated in {self.migrate_s:.0f} s; the copy is gone",
            f"{self.files} files with {self.dags} DAGs were parsed by the new Airflow",
            f"expected: nothing is scheduled for {away_s:.0f} s, after the running tasks have ended (backup"
            f" {backup_s:.0f} s, migration {self.migrate_s:.0f} s, restarts about {RESTART_S} s)",
        ]


def refuse(found: Sequence[Finding], accepted: Collection[str], version: str) -> None:
    """Raise GateRefused, naming all that speaks against it and was not accepted; settings and schema can't be."""
    acceptable = {name for name in accepted if not name.startswith((SETTING, SCHEMA))}
    if left := findings.refused(found, acceptable):
        raise GateRefused(
            f"no go for Airflow {version}:\n    " + "\n    ".join(map(str, left)),
            remedy="mend it: settings in airflow.config of the inventory, DAGs by fab deploy (or --accept NAME: those"
            " you can do without)",
            state="nothing that runs was touched",
        )


class Rehearsal:
    """One rehearsal; the lock is held."""

    def __init__(self, old: Fleet, new: Fleet, screen: Screen) -> None:
        self.old, self.new, self.screen = old, new, screen
        self.target = self._target(new)
        self.facts: dict[str, Facts] = {}

    def _target(self, fleet: Fleet) -> Target:
        return Target(fleet.inventory, fleet.secrets, gates.constraints_of(fleet.inventory))

    @property
    def venv(self) -> str:
        """Where the new environment is, on every host."""
        return f"{layout_of(self.new.inventory).versions}/{venv_target(self.target.venv_digest)}"

    def in_order(self) -> None:
        """Refuse to begin where hosts are not as the inventory has them: what would be put back is not known then."""
        target, facts = bootstrap_run.look(self._target(self.old), self.old.hosts, self.old.look)
        hosts = self.old.inventory.hosts
        plans = [make_plan(name, stages_of(target, hosts[name]), facts[name]) for name in self.old.hosts]
        if left := [f"{plan.host}: {describe(change)}" for plan in plans for change in plan.changes]:
            more = f"\n    and {len(left) - SHOWN} more" if len(left) > SHOWN else ""
            raise GateRefused(
                "these hosts are not as the inventory has them:\n    " + "\n    ".join(left[:SHOWN]) + more,
                remedy="fab plan, then fab bootstrap; then upgrade",
                state="nothing was changed",
            )
        self.target = replace(self.target, release=target.release, requirements=target.requirements)

    def prepare(self) -> None:
        """Install the new Airflow on every host, beside the one that runs."""
        hosts = self.new.inventory.hosts
        wanted = {
            name: (Stage("beside", tuple(_python(stages_of(self.target, hosts[name])))),) for name in self.new.hosts
        }
        self.facts = self.new.look({name: stages[0].resources for name, stages in wanted.items()})
        terms = rollout.Terms(self.new.inventory.ssh.parallel)
        rollout.converge(self.new.hosts, lambda: wanted, self.facts, self.screen, rollout.Hooks(), terms)

    def lint(self) -> list[Finding]:
        """Return the settings that the new Airflow would ignore, or knows otherwise."""
        name = database_host(self.new.inventory)
        found = gates.lint_findings(self.new.hosts[name], self.new.inventory, self.new.secrets, self.venv)
        return [Finding(SETTING + each.place, str(each).partition(": ")[2]) for each in found]

    def on_a_copy(self, backups: Backups, backup: Backup) -> Report:
        """Migrate a copy of the database and have every DAG parsed beside it."""
        inventory, name = self.new.inventory, database_host(self.new.inventory)
        copy = inventory.model_copy(update={"database": inventory.database.model_copy(update={"name": TOKEN})})
        settings = airflow_cfg.settings(copy, inventory.hosts[name], self.new.secrets)
        settings["core"].pop("hostname_callable", None)  # its module is beside the configuration that runs
        generation = generation_of(inventory.airflow.version)
        self.new.check_lock()
        self.screen.step(name, ("rehearse", backup.name), "")
        tell = backups.tell(backup.name)
        with backups.store.on_host(backup, tell) as path:
            words: Words = {
                **backups.words(),
                "path": path,
                "manifest": backup.words,
                "new_venv": self.venv,
                "config": airflow_cfg.render_cfg(settings),
                "token": TOKEN,
                "migrate": list(generation.commands.migrate),
                "gate": words_of(self.target, str(self.target.release)),
            }
            answer: Any = self.new.hosts[name].call("rehearse", words, lambda _, text: tell(text))
        found = []
        if answer["schema"] != WELL:
            found.append(Finding(SCHEMA, f"the copy is not as it should be: {answer['schema']}"))
        dags = inventory.dags
        found += findings.of_parsing(answer["gate"], dags.folder, served_queues(inventory), dags.parse_timeout_s)
        return Report(float(answer["migrate_s"]), answer["gate"]["files"], len(answer["gate"]["dags"]), found)


def _python(stages: Sequence[Stage]) -> Sequence[Any]:
    return next(stage.resources for stage in stages if stage.name == "python")
