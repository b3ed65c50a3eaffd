"""Celery workers on this host: what runs on them, and how one is drained, restarted, stopped and started.

If the operator is lost in the middle of a drain, the consumers come back before this process ends.
"""

from __future__ import annotations

import contextlib
import socket
import time

from airfleet.agent import inside, run, units

PROGRAM = "inside_workers"
BESIDE = ("inside_celery", "inside_postgres")
PREFIX = "airflow-worker@"
SLACK_S = 60
GIVE_BACK_S = 35  # longer than the program itself tries, and less than a lost operator's last words may take
CUT_S = 60
READY_S = 180
QUICK_S = 0.5


def workers_look(words, tell):
    """Return {"workers": [{"instance", "node", "active", "enabled", "answers", "queues", "running", …}, …]}.

    Those of the inventory (`instances`), and those beyond that are enabled or run.
    """
    beyond, _ = units.look_instances(PREFIX, {"beyond": words["instances"]})
    numbers = [*range(1, words["instances"] + 1), *sorted(int(name[len(PREFIX) :]) for name in beyond)]
    shown = units.show([unit_of(number) for number in numbers])
    states = {number: shown[unit_of(number)] for number in numbers}
    running = [node_of(number) for number in numbers if states[number]["ActiveState"] == "active"]
    answers = _ask(words, "look", {"nodes": running}, tell)["nodes"] if running else {}
    quiet = {"queues": [], "running": [], "unnamed": 0, "reserved": 0, "gaps": []}
    return {
        "workers": [
            {
                "instance": number,
                "node": node_of(number),
                "active": states[number]["ActiveState"],
                "enabled": states[number]["UnitFileState"] == "enabled",
                "answers": node_of(number) in answers,
                **answers.get(node_of(number), quiet),
            }
            for number in numbers
        ]
    }


def restart_drained(words, tell):
    """Drain one worker, restart it, and wait until it consumes all its queues and really runs a task.

    `instance`, `taken` (the queues that it consumes now), `serves` (those that it should), `siblings`, `max_wait_s`,
    `allow_gap`, `kill_after_wait`, `stop_timeout_s`. The answer's "outcome" is "done", or "held": it kept its tasks to
    the deadline and takes new ones again.
    """
    answer = _leave(words, "restart", tell)
    if answer["outcome"] == "held":
        return answer
    return {**answer, **_ready(words, tell), "outcome": "done"}


def stop_drained(words, tell):
    """Drain one worker and stop it; with `disable` it does not start at the next boot either."""
    answer = _leave(words, "stop", tell)
    if answer["outcome"] != "held" and words["disable"]:
        run.run(["systemctl", "disable", unit_of(words["instance"])])
    return answer if answer["outcome"] == "held" else {**answer, "outcome": "done"}


def start_worker(words, tell):
    """Enable and start one worker, and wait until it consumes all its queues and really runs a task."""
    unit = unit_of(words["instance"])
    run.run(["systemctl", "daemon-reload"])
    if words["enable"]:
        run.run(["systemctl", "enable", unit])
    units.start(unit, "start", words["stop_timeout_s"], tell)
    return {"outcome": "done", **_ready(words, tell)}


def drain(words, tell):
    """Take the consumers of several workers away and wait until they run nothing; they stay so."""
    nodes = [node_of(number) for number in words["numbers"]]
    with run.on_loss(lambda: _give_back(words, nodes)):
        answer = _empty(words, nodes, tell)
    if answer["outcome"] == "silent":
        raise run.Refused(
            f"{', '.join(answer['nodes'])} does not answer", kind="refused", remedy="look at its journal: fab plan"
        )
    return answer


def resume(words, tell):
    """Let several workers take tasks again."""
    nodes = [node_of(number) for number in words["numbers"]]
    return _ask(words, "resume", {"nodes": nodes, "queues": words["serves"]}, tell)


def node_of(number):
    """Return the name of a worker as Celery knows it."""
    return f"worker{number}@{socket.gethostname()}"


def unit_of(number):
    """Return the name of a worker as systemd knows it."""
    return f"{PREFIX}{number}.service"


def _leave(words, verb, tell):
    """Drain one worker, then restart or stop it; nothing of it is stopped while it runs tasks, unless that is asked."""
    unit, node, began = unit_of(words["instance"]), node_of(words["instance"]), time.monotonic()
    answer = {"outcome": "empty", "waited_s": 0, "holding": [], "unnamed": 0}
    with run.on_loss(lambda: _give_back(words, [node])):
        if units.show([unit])[unit]["ActiveState"] == "active":
            answer = _empty(words, [node], tell)
        if answer["outcome"] == "held":
            return answer
        if answer["outcome"] == "silent":
            # It can't be asked what it runs: systemd's own stop waits for its tasks, however long they take.
            answer = {"outcome": "silent", "waited_s": 0, "holding": [], "unnamed": 0}
        most = words["max_wait_s"] if answer["outcome"] == "silent" else words["stop_timeout_s"]
        _steer(unit, verb, most, words["kill_after_wait"], answer["outcome"], tell)
    return {**answer, "seconds": round(time.monotonic() - began, 1)}


def _steer(unit, verb, most, kill, outcome, tell):
    wanted = units.DOWN if verb == "stop" else ("active", "failed")
    run.run(["systemctl", "daemon-reload"])
    if outcome == "late":
        # To all of its processes: Airflow's own handler then ends the task and writes down what became of it.
        run.run(["systemctl", "kill", "--signal=SIGTERM", unit])
        most = CUT_S
    if verb == "stop":
        state = units.bring(unit, verb, wanted, most, tell)
    else:
        run.run(["systemctl", "reset-failed", unit], ok=(0, 1))
        state = units.bring(unit, verb, wanted, most, tell)
    if state not in wanted and (kill or outcome == "late"):
        run.run(["systemctl", "kill", "--signal=SIGKILL", unit])
        state = units.bring(unit, verb, wanted, CUT_S, tell)
    if state not in wanted and state != "failing":
        raise run.Refused(
            f"{unit} is {state} {most} s after systemd was asked to {verb} it: it still waits for its tasks",
            remedy="look at `systemctl status`; --kill-after-wait ends its tasks",
        )
    if verb != "stop" and state != "active":
        raise run.Refused(
            f"{unit} is {state} after {verb}",
            tail=units.journal({"unit": unit, "since": time.time() - 60}, tell)["text"],
        )


def _empty(words, nodes, tell):
    """Drain the nodes; whatever goes wrong, they get their consumers back."""
    numbers = [node.partition("@")[0].replace("worker", "", 1) for node in nodes]
    asked = {
        "nodes": nodes,
        "marks": [f"{units.RUN}{PREFIX}{number}/{units.MARK}" for number in numbers],
        **{name: words[name] for name in ("max_wait_s", "allow_gap", "kill_after_wait", "siblings")},
    }
    try:
        return _ask(words, "drain", asked, tell, timeout_s=words["max_wait_s"] + SLACK_S)
    except run.Refused as e:
        if e.kind != "refused":
            with contextlib.suppress(run.Refused):  # what went wrong first is told: without a broker this does as well
                _give_back(words, nodes)
        raise


def _give_back(words, nodes):
    """Let the nodes consume what they consumed, by a fresh program: the one before may have ended in the middle."""
    _ask(words, "resume", {"nodes": nodes, "queues": words["taken"]}, None, timeout_s=GIVE_BACK_S)


def _ready(words, tell):
    """Return {"ok", "says", "journal"}: does the worker consume all its queues, and does a task really run on it?"""
    node, unit, began = node_of(words["instance"]), unit_of(words["instance"]), time.time()
    asked = {"nodes": {node: words["serves"]}, "config": words["config"], "timeout_s": READY_S, "reply_s": QUICK_S}
    answer = inside.ask(
        words["venv"], "inside_celery", asked, account=words["account"], timeout_s=READY_S + SLACK_S, tell=tell
    )
    found = answer["nodes"][node]
    journal = "" if found["ok"] else units.journal({"unit": unit, "since": began - 5, "lines": 15}, tell)["text"]
    return {"ok": found["ok"], "says": found["says"], "journal": journal}


def _ask(words, question, more, tell, timeout_s=SLACK_S):
    asked = {"question": question, "config": words["config"], "dsn": words.get("dsn"), **more}
    return inside.ask(
        words["venv"], PROGRAM, asked, account=words["account"], timeout_s=timeout_s, tell=tell, also=BESIDE
    )
