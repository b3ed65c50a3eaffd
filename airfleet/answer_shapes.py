"""The forms of what the agent answers to calls and streams: what whoever asks relies on, and no more. Data.

A type stands for itself (int is no truth value, and float may be an int), a tuple for its shape or None, a list for a
list of its shape, {0: shape, 1: shape} for a list of just these, {str: shape} for any names, another dict for these
names at least; a name that ends with "?" may be left out. `object` is anything.
"""

from __future__ import annotations

from typing import Any

SAYS: dict[Any, Any] = {"ok": bool, "says": str}
HELD: dict[Any, Any] = {"held_by": ({"who": str, "doing?": str, "since?": str, "age_s?": float},)}
TASK: dict[Any, Any] = {
    "dag": str,
    "task": str,
    "run": str,
    "try": int,
    "retries_left": int,
    "elapsed_s": (float,),
    "usual_s": (float,),
}
WORKER: dict[Any, Any] = {
    "instance": int,
    "node": str,
    "active": str,
    "enabled": bool,
    "answers": bool,
    "queues": [str],
    "running": [TASK],
    "unnamed": int,
    "reserved": int,
    "gaps": [{"queue": str, "waiting": int, "running": int}],
}
LEFT: dict[Any, Any] = {
    "outcome": str,
    "waited_s": float,
    "holding": [TASK],
    "unnamed": int,
    "seconds?": float,
    "ok?": bool,
    "says?": str,
    "journal?": str,
    "lost?": {str: str},
}
NODE: dict[Any, Any] = {
    "answers": bool,
    "replies": int,
    "queues": ([str],),
    "active": (int,),
    "reserved": (int,),
    "slots": (int,),
    "done": (int,),
    "stuck": (bool,),
}
UNIT: dict[Any, Any] = {
    "load": str,
    "active": str,
    "sub": str,
    "result": (str,),
    "enabled": bool,
    "reload": bool,
    "restarts": int,
    "status": int,
    "since_s": (float,),
    "started_s": (float,),
    "ended_s": (float,),
    "pid": int,
    "state": (str,),
    "stopped": [int],
    "kill_mode": (str,),
    "stop_timeout_s": (float,),
    "oom_policy": (str,),
    "drop_ins": [str],
    "job": (str,),
    "orphans": [object],
    "drained": bool,
}
MEMBERS: dict[Any, Any] = {"members": {str: {0: str, 1: dict}}, "retired": {str: str}}
PERSON: dict[Any, Any] = {
    "name": str,
    "firstname": (str,),
    "lastname": (str,),
    "email": str,
    "active": bool,
    "logins": int,
    "last_login": (str,),
    "roles": [str],
}
NUMBERS: dict[Any, Any] = {str: (float,)}
AIRFLOW: dict[Any, Any] = {
    "tasks?": ({"failed_last_hour": int},),
    "queued?": ([{"oldest_s": (float,)}],),
    "jobs?": ([{"type": str, "age_s": float}],),
    "dags?": (NUMBERS,),
    "connections?": ({"count": int, "most": int},),
    "import_errors?": ([object],),
    "blockers?": ([object],),
    "hosts_of_tasks?": ([str],),
}
STORE: dict[Any, Any] = {"ok": (bool,), "info?": {"used_memory?": float, "maxmemory?": float}}
DISK: dict[Any, Any] = {"percent": int, "inodes_percent": int, "free_mb": int, "device": int, "eaters?": [object]}
VITALS: dict[Any, Any] = {
    "host?": (
        {
            "uptime_s": int,
            "load": float,
            "cpus": (int,),
            "memory": {"total_mb": int, "available_mb": int},
            "disks": {str: DISK},
        },
    ),
    "units?": ({str: UNIT},),
    "release?": ({"current": (str,), "venv": (str,)},),
    "stores?": ({"redis": {str: STORE}, "database": {str: STORE}, "airflow": (AIRFLOW,)},),
    "web?": ({"ok": bool, "says": str, "ms": (int,)},),
    "maintenance?": ({"who": (str,), "since": (str,), "reason": (str,)},),
    "operation?": HELD["held_by"],
    "members?": (MEMBERS,),
    "way_back?": ({"unconfirmed?": str, "went back?": str},),
    "backup?": (dict,),
    "journal?": ({"signs": {str: dict}, "last_words": {str: str}, "oom": [str]},),
    "logs?": ({"foreign": (str,)},),
    "ports?": ({str: {"pid": int, "name": str, "unit": str}},),
    "strays?": ([{"pid": int, "node": str, "unit": str}],),
    "versions?": ({str: str},),
    "pidfiles?": ([{"path": str, "pid": int, "alive": bool}],),
    "effective?": ({"digests": {str: {str: str}}, "overrides": {str: [str]}},),
    "certificate?": (dict,),
    "log_servers?": {str: str},
    "unknown?": {str: str},
}
RECORD: dict[Any, Any] = {"id": str, "phase": str, "who": str, "since": str, "dags": [str], "mark": int}
MANIFEST: dict[Any, Any] = {"name": str, "size": int, "sha256": str, "at": str, "format": int, "tables": {str: int}}
BACKUPS: dict[Any, Any] = {"backups": [{"name": str, "size": int, "lost?": (str,)}], "strays": [str]}
REMAINS: dict[Any, Any] = {"units": [str], "paths": [str], "account": (str,)}
GATE: dict[Any, Any] = {
    "files": int,
    "dags": object,
    "seconds": float,
    "errors": dict,
    "known_errors": [str],
    "duplicates": dict,
    "vanished": object,
    "queues": {str: [object]},
    "late": [object],
    "stuck": str,
    "ended": str,
}
ENTRY: dict[Any, Any] = {"hosts?": ({str: object},), "members?": ({str: dict},), "retired?": ([str],)}
ANSWERS: dict[Any, Any] = {
    "lock": HELD,
    "holder": HELD,
    "resolve": {"commit": str, "subject": str, "author": str, "date": str, "forced": bool, "requirements": str},
    "release_of": {"commit": str, "subject": str, "requirements": str},
    "releases": {"releases": [{"commit": str, "subject": str, "made_at": float, "current": bool}]},
    "prune": {"removed": [str]},
    **dict.fromkeys(("probe_redis", "probe_database", "probe_scheduler", "probe_web", "probe_workers"), SAYS),
    **dict.fromkeys(("probe_flower", "probe_api"), SAYS),
    "journal": {"text": str},
    "users": {"users": [PERSON], "roles": [str]},
    "create_user": {"password": (str,)},
    "reset_password": {"password": (str,)},
    "history": {"entries": [dict]},
    "verify_history": {
        "lines": int,
        "chained": int,
        "faults": [{"line": int, "what": str}],
        "entries": {str: {0: str, 1: str, 2: str}},
    },
    "members": MEMBERS,
    "steer": {"before": str, "active": str, "seconds": float, "began": float, "outage_s": (float,)},
    "active_units": {"active": [str]},
    "patience": {"workers": {str: [str]}, "outages_s": [float]},
    "rehearse": {"migrate_s": float, "schema": object, "gate": GATE},
    "gate": GATE,
    "workers_look": {"workers": [WORKER]},
    "restart_drained": LEFT,
    "stop_drained": LEFT,
    "start_worker": SAYS,
    "drain": LEFT,
    "resume": {"lost": {str: str}},
    "vitals": VITALS,
    "crew": {"nodes": {str: NODE}, "queues": {str: int}, "unacked": (int,), "error": (str,)},
    "runbook_step": {"output": str, "rc": int},
    "reach": {"results": [(str,)], "listening": [[object]]},
    "remains": REMAINS,
    "clear": REMAINS,
    "maintenance_look": {"record": (RECORD,), "active": [str], "dags": dict},
    "maintenance_begin": {"record": RECORD, "paused": [str]},
    "maintenance_note": {"record": RECORD},
    "maintenance_unpause": {"unpaused": [str], "dags": dict},
    "maintenance_marks": {"marked": [str]},
    "backup_list": BACKUPS,
    "bucket_list": BACKUPS,
    "bucket_fetch": {"path": str},
    "backup_receive": {"path": str},
    "backup_create": {"manifest": MANIFEST},
    "airflow": {"rc": int},
    "way_back_arm": {"until": float},
    "way_back_beat": {"until": (float,)},
    "way_back_disarm": {"confirmed": bool, "says": str},
}
PARTS: dict[Any, Any] = {
    "logs": {"entries?": [{0: int, 1: str, 2: (int,), 3: str}], "live?": bool},
    "airflow": {"out?": str, "err?": str},
    "task_log": {"found?": {"dag": str, "task": str, "run": str, "hostname": (str,), "state": (str,)}, "text?": str},
    "backup_create": {"say?": str, "about?": int, "data?": str},
}
