"""Is a release fit to be switched to? Its DAGs are parsed on this host, in the environment that they would run in.

Nothing is written: the account parses, and the database is asked through connections that refuse every write.
"""

from __future__ import annotations

import os

from airfleet.agent import inside, run

PROGRAM = "inside_gate"
BESIDE = ("inside_postgres",)
SLACK_S = 45  # for starting Airflow, and for the file that is being parsed when the time is over
ENVIRONMENT = {
    "PGOPTIONS": "-c default_transaction_read_only=on",
    # Deep enough to hold the line of the DAG file itself, wherever below it the error was.
    "AIRFLOW__CORE__DAGBAG_IMPORT_ERROR_TRACEBACK_DEPTH": "60",
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    # Airflow 3: variables and connections that a file asks for come from the database, as in the DAG processor.
    "_AIRFLOW_PROCESS_CONTEXT": "server",
}


def gate(words, tell):
    """Return what parsing a release says, compared with the one that runs.

    `candidate` and `current` (or null) are {"venv", "folder", "plugins"}; `account`, `env`, `timeout_s`, `dsn`;
    `dagbag` is the module of Airflow's parser, `active_dag` SQL that is true of a DAG that is there. The answer:
    "files", "dags", "seconds", "errors" {file: {"line", "error"}} that the current release does not have,
    "known_errors" that it has, "duplicates", "vanished", "queues" {queue: [task, …]}, "late" (files not reached in
    time), "stuck" (the file at which the parser had to be killed) and "ended" (the one at which it ended itself).
    """
    found = _parse(words, words["candidate"], words["dsn"], tell)
    broken = {**found["errors"], **found["duplicates"]}
    before = {}
    if words["current"] and broken:
        if any(os.path.exists(os.path.join(words["current"]["folder"], name)) for name in broken):
            old = _parse(words, words["current"], None, None)
            before = {**old["errors"], **old["duplicates"]}
    found["known_errors"] = sorted(name for name in broken if name in before)
    found["errors"] = {name: error for name, error in found["errors"].items() if name not in before}
    found["duplicates"] = {name: error for name, error in found["duplicates"].items() if name not in before}
    return found


def _parse(words, release, dsn, tell):
    folder = release["folder"]
    if not os.path.isdir(folder):
        raise run.Refused(
            f"the release has no folder {os.path.basename(folder)}",
            kind="refused",
            remedy="look at dags.folder in the inventory, and at the commit",
        )
    env = {**words["env"], **ENVIRONMENT, "AIRFLOW__CORE__DAGS_FOLDER": folder}
    env["PATH"] = f"{release['venv']}/bin:{run.PATH}"
    if release.get("plugins"):
        env["AIRFLOW__CORE__PLUGINS_FOLDER"] = release["plugins"]
    asked = {"folder": folder, "timeout_s": words["timeout_s"], "dsn": dsn}
    asked.update((name, words[name]) for name in ("dagbag", "active_dag"))
    last = [""]

    def heard(text):
        last[0] = text
        if tell:
            tell(f"parsing {text}")

    try:
        return inside.ask(
            release["venv"],
            PROGRAM,
            asked,
            account=words["account"],
            env=env,
            timeout_s=words["timeout_s"] + SLACK_S,
            tell=heard,
            also=BESIDE,
        )
    except run.Refused as e:
        if e.kind not in ("timeout", "failed") or not last[0]:
            raise
        nothing = {"files": 0, "seconds": 0, "dags": {}, "errors": {}, "duplicates": {}, "vanished": {}, "queues": {}}
        stuck = e.kind == "timeout"
        return {**nothing, "late": [], "stuck": last[0] if stuck else "", "ended": "" if stuck else last[0]}
