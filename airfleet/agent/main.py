"""The agent's one conversation: read a request, do it, answer in JSON lines, end when the operator is gone.

A request is one JSON object: {"op": "look" | "apply" | "lock" | a name in CALLS or STREAMS, …}.
The answers are JSON lines: {"t": "seen" | "progress" | "done" | "failed" | "part" | "ready" | "answer" | "end", …}.
What comes after the request says only that the operator is there; behind a "ready" it is what one of TAKES takes in.
"""

from __future__ import annotations

import base64
import importlib
import json
import os
import queue
import select
import signal
import sys
import threading

from airfleet.agent import paths, run

SILENCE_S = 90
CHUNK = 64 * 1024
DIGITS = 20
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
FRAMES = 16  # of what comes in are kept at most, until they are taken
_writing = threading.Lock()


def say(answer):
    """Send one JSON line to the operator."""
    line = json.dumps(answer, ensure_ascii=True, separators=(",", ":"))
    try:
        with _writing:
            sys.stdout.write(line + "\n")
            sys.stdout.flush()
    except BrokenPipeError:
        run.lose()  # nobody listens: this may be noticed here before it is at stdin


def main():
    """Serve one request from stdin."""
    stdin = sys.stdin.buffer
    request = _request(stdin)
    signal.alarm(0)
    coming = queue.Queue(FRAMES) if request["op"] in TAKES else None
    threading.Thread(target=_watch, args=(stdin, coming), daemon=True).start()
    for each in (signal.SIGHUP, signal.SIGTERM):
        signal.signal(each, lambda *_: threading.Thread(target=run.lose).start())
    os.umask(0o022)
    answer(request, coming)


def _request(stdin):
    """Return the request; what is none is one that nobody knows."""
    try:
        request = run.parsed(stdin.read(max(0, int(stdin.readline(DIGITS)))))
    except ValueError:
        request = None
    op = request.get("op") if isinstance(request, dict) else None
    return request if isinstance(op, str) else {"op": ""}


def answer(request, coming):
    """Do what is asked for, and say how that ended, whatever comes of it."""
    try:
        if serve(request, coming):
            say({"t": "end"})
    except Exception as e:  # noqa: BLE001  # whatever it is, the operator is told, in one line that is whole
        say({"t": "failed", "kind": "", "key": "", **run.words_of(e)})


def serve(request, coming):
    """Do what is asked for, and say whether that came to its end."""
    op = request["op"]
    if op == "look":
        look(request["resources"])
    elif op == "apply":
        return apply(request["changes"])
    elif op in STREAMS:
        stream(op, paths.named(request))
    elif op in TAKES:
        receive(op, paths.named(request), coming)
    elif op in CALLS:
        call(op, paths.named(request))
    else:
        raise run.Refused(f"this agent knows nothing of {op}", kind="usage")
    return True


def look(resources):
    """Answer what is, for exactly the resources asked about: [[kind, key, ask], …]."""
    by_module = {}
    for kind, key, ask in resources:
        by_module.setdefault(KINDS[kind], []).append((kind, key, ask))
    threads = [threading.Thread(target=_look_module, args=item) for item in by_module.items()]
    for thread in threads[1:]:
        thread.start()
    for thread in threads[:1]:
        thread.run()
    for thread in threads[1:]:
        thread.join()


def _look_module(name, asked):
    """Look at all resources of one module; it may look at several of a kind in one go (`look_KINDs`)."""
    module = importlib.import_module("airfleet.agent." + name)
    kinds = {}
    for kind, key, ask in asked:
        kinds.setdefault(kind, []).append((key, ask))
    for kind, items in kinds.items():
        try:
            together = getattr(module, "look_" + kind + "s", None)
            seen = together(items) if together else [getattr(module, "look_" + kind)(k, a) for k, a in items]
        except Exception as e:  # noqa: BLE001  # told, like all that goes wrong
            say({"t": "failed", "kind": kind, "key": items[0][0], **run.words_of(e)})
            continue
        for (key, _), (state, detail) in zip(items, seen):
            say({"t": "seen", "kind": kind, "key": key, "state": state, "detail": detail})


def apply(changes):
    """Make the changes in order, stop at the first that fails, and say whether all were made.

    A change is {"kind", "key", "seen", "want", "ask", "means"}.
    """
    for change in changes:
        kind, key = change["kind"], change["key"]
        say({"t": "begin", "kind": kind, "key": key})
        module = importlib.import_module("airfleet.agent." + KINDS[kind])
        make = getattr(module, "make_" + kind)

        def tell(text, kind=kind, key=key):
            say({"t": "progress", "kind": kind, "key": key, "text": text})

        try:
            told = make(key, change["seen"], change["want"], change["means"], tell)
        except Exception as e:  # noqa: BLE001  # told, like all that goes wrong
            say({"t": "failed", "kind": kind, "key": key, **run.words_of(e)})
            return False
        say({"t": "done", "kind": kind, "key": key, "told": told or {}})
    return True


def call(name, words):
    """Answer a question that is not about a resource."""
    module = importlib.import_module("airfleet.agent." + CALLS[name])

    def tell(text):
        say({"t": "progress", "kind": "", "key": name, "text": text})

    say({"t": "answer", "words": getattr(module, name)(words, tell)})
    if name == "lock":
        threading.Event().wait()


def stream(name, words):
    """Answer a question whose answer comes in parts, each sent as it comes."""
    module = importlib.import_module("airfleet.agent." + STREAMS[name])

    def part(words):
        say({"t": "part", "words": words})

    say({"t": "answer", "words": getattr(module, name)(words, part)})


def receive(name, words, coming):
    """Take in what the operator sends once we are ready for it."""
    module = importlib.import_module("airfleet.agent." + TAKES[name])
    say({"t": "answer", "words": getattr(module, name)(words, frames(coming.get), lambda: say({"t": "ready"}))})


def frames(more):
    """Yield the frames of what comes: base64, each with a full stop behind it; an empty one is the end.

    Line breaks say only that the operator is there, wherever they stand.
    """
    rest = b""
    while True:
        *whole, rest = (rest + more().replace(b"\n", b"")).split(b".")
        for frame in whole:
            if not frame:
                return
            yield base64.b64decode(frame)


def _watch(stdin, coming=None):
    """End, with everything that was started, when the operator's side is closed or has been silent too long."""
    fd = stdin.fileno()
    while True:
        ready, _, _ = select.select([fd], [], [], SILENCE_S)
        data = os.read(fd, CHUNK) if ready else b""
        if not data:
            run.lose()
        if coming:
            coming.put(data)
