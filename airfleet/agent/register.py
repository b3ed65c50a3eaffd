"""Which module of the agent does what: a look or a change of each kind, a call, a stream. Data alone.

The operator's side reads it too: it sends a host no more modules than a request needs.
"""

from __future__ import annotations

KINDS = {
    "file": "files",
    "directory": "files",
    "link": "files",
    "account": "accounts",
    "packages": "packages",
    "redis_user": "redis_user",
    "self_signed": "self_signed",
    "unit": "units",
    "binary": "download",
    "instances": "units",
    "leftovers": "leftovers",
    "disk": "system",
    "pyenv": "python",
    "python": "python",
    "system_python": "python",
    "uv": "venv",
    "venv": "venv",
    "mirror": "code",
    "release": "code",
    "schema": "database",
    "admin": "database",
    "way_back": "unconfirmed",
}
CALLS = {
    "lock": "lock",
    "holder": "lock",
    "resolve": "code",
    "catalogue": "venv",
    "probe_bucket": "log_bucket",
    "probe_redis": "probe",
    "probe_database": "probe",
    "probe_auth_proxy": "probe",
    "probe_scheduler": "probe",
    "probe_web": "probe",
    "probe_workers": "probe",
    "probe_flower": "probe",
    "probe_proxy": "proxy",
    "probe_api": "probe",
    "journal": "units",
    "gate": "gate",
    "users": "users",
    "create_user": "users",
    "reset_password": "users",
    "delete_user": "users",
    "record": "history",
    "history": "history",
    "verify_history": "history",
    "members": "history",
    "audit_copy": "audit",
    "audit_compare": "audit",
    "releases": "releases",
    "prune": "releases",
    "release_of": "releases",
    "steer": "services",
    "patience": "patience",
    "rehearse": "rehearsal",
    "forget_messages": "broker",
    "workers_look": "worker",
    "restart_drained": "worker",
    "stop_drained": "worker",
    "start_worker": "worker",
    "drain": "worker",
    "vitals": "vitals",
    "crew": "crew",
    "runbook_step": "runbook",
    "resume": "worker",
    "redis_adopt": "redis_live",
    "role_password": "rotation",
    "fernet_unread": "rotation",
    "fernet_encrypt": "rotation",
    "reach": "reach",
    "remains": "retire",
    "clear": "retire",
    "maintenance_look": "maintenance",
    "maintenance_recall": "maintenance",
    "maintenance_begin": "maintenance",
    "maintenance_note": "maintenance",
    "maintenance_unpause": "maintenance",
    "maintenance_marks": "maintenance",
    "maintenance_forget": "maintenance",
    "active_units": "services",
    "way_back_arm": "way_back",
    "way_back_beat": "way_back",
    "way_back_disarm": "way_back",
    "backup_list": "backup_folder",
    "backup_note": "backup_folder",
    "backup_remove": "backup_folder",
    "backup_clear": "backup_folder",
    "bucket_list": "backup_bucket",
    "bucket_note": "backup_bucket",
    "bucket_remove": "backup_bucket",
    "bucket_fetch": "backup_bucket",
    "backup_verify": "backup_restore",
    "backup_ready": "backup_restore",
    "backup_restore": "backup_restore",
}
STREAMS = {
    "backup_create": "backup",
    "logs": "logs",
    "task_log": "tasklog",
    "airflow": "command",
}
TAKES = {"backup_receive": "backup_folder"}
# What a program that runs in an environment's Python needs of airfleet there, before itself.
NEEDED = {
    "inside_postgres": ("certificates",),
    "inside_celery": ("replies",),
    "inside_crew": ("replies",),
    "inside_workers": ("replies",),
}


def modules_of(request):
    """Return the modules that a request names by what it asks for; none for what nobody knows."""
    op = request["op"]
    if op == "look":
        return {KINDS[kind] for kind, _, _ in request["resources"]}
    if op == "apply":
        return {KINDS[change["kind"]] for change in request["changes"]}
    return {table[op] for table in (CALLS, STREAMS, TAKES) if op in table}
