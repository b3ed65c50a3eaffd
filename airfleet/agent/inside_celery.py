"""Asks the Celery workers, and lets each run a task: run by the environment's own Python, without importing Airflow.

A worker that answers may still consume nothing, and one that consumes may still run nothing (apache/airflow#63580,
#59707): so each must name its queues, and its pool must really run a task that is sent to it alone.
"""

from __future__ import annotations

import configparser
import contextlib
import secrets
import socket
import time

from celery import Celery
from kombu.exceptions import KombuError

from airfleet.agent import replies

REPLY_S = 2
BUSY_AFTER_S = 5
CANARY_S = 10  # at least, however long another node let us wait for its queues
QUEUE = "airfleet.canary."
# What Celery itself stumbles over in an answer that is none of a worker's.
STRANGE = (TypeError, ValueError, AttributeError, LookupError)
UNREADABLE = "a worker's answer can't be read"
TASK = "celery.accumulate"  # comes with Celery, needs nothing, returns its arguments


def inside(words, tell):
    """Return {"nodes": {name: {"ok", "says"}}} as soon as all are well, or when the time is over."""
    deadline = time.monotonic() + words["timeout_s"]
    wanted = words.get("nodes") or {
        f"worker{i}@{socket.gethostname()}": words["queues"] for i in range(1, words["instances"] + 1)
    }
    try:
        app = client(words)
        nodes = {}
        for name, says in consuming(app, wanted, deadline, tell, words.get("reply_s", REPLY_S)).items():
            nodes[name] = {"ok": not says, "says": says}
        well = [name for name, node in nodes.items() if node["ok"]]
        for name, node in canaries(app, well, deadline, tell).items():
            nodes[name] = node
    except STRANGE as e:
        return {"nodes": {name: {"ok": False, "says": f"{UNREADABLE}: {e}"} for name in wanted}}
    except (OSError, KombuError) as e:
        return {"nodes": {name: {"ok": False, "says": f"the broker cannot be asked: {e}"} for name in wanted}}
    return {"nodes": nodes}


def client(words):
    """Return a plain Celery client for the broker and the result backend of Airflow."""
    broker, backend = words.get("broker"), words.get("backend")
    if not broker:
        broker, backend = addresses(words["config"])
    app = Celery("airfleet", broker=broker, backend=backend, set_as_current=False)
    app.conf.update(
        task_serializer="json",
        accept_content=["json"],
        result_serializer="json",
        broker_connection_timeout=5,
        broker_connection_retry=False,
        broker_transport_options={"socket_timeout": 10, "socket_connect_timeout": 5},
        task_publish_retry=False,
    )
    return app


def addresses(path):
    """Return broker and result backend from an airflow.cfg, where `%%` stands for `%`."""
    parser = configparser.RawConfigParser(strict=False)
    with open(path, encoding="utf-8") as f:
        parser.read_file(f)
    section = parser["celery"]
    return section["broker_url"].replace("%%", "%"), section["result_backend"].replace("%%", "%")


def consuming(app, wanted, deadline, tell, reply_s=REPLY_S):
    """Return, for each node, what is wrong with the queues that it consumes: "" when nothing is.

    A short `reply_s` finds a node sooner that is only starting: what was asked before it listens it never hears.
    """
    while True:
        inspect = app.control.inspect(destination=list(wanted), timeout=reply_s, limit=len(wanted))
        answers = replies.by_node(inspect.active_queues())
        wrong = {}
        for name, queues in wanted.items():
            missing = sorted(set(queues) - set(replies.queues(answers.get(name), QUEUE)))
            if name not in answers:
                wrong[name] = "does not answer"
            elif missing:
                wrong[name] = f"answers, but does not consume {', '.join(missing)}"
            else:
                wrong[name] = ""
        if not any(wrong.values()) or time.monotonic() > deadline:
            return wrong
        tell("; ".join(f"{name} {says}" for name, says in wrong.items() if says))
        time.sleep(0.2)


def canaries(app, names, deadline, tell):
    """Return {name: {"ok", "says"}} after each node got a task of its own, through a queue that only it consumes."""
    sent, nodes = {}, {}
    deadline = max(deadline, time.monotonic() + CANARY_S)
    try:
        for name in names:
            app.control.add_consumer(QUEUE + name, destination=[name], reply=True, timeout=REPLY_S, limit=1)
            sent[name] = _send(app, name, deadline)
        began = time.monotonic()
        while len(nodes) < len(sent):
            waiting = [name for name in sent if name not in nodes]
            for name in waiting:
                token, result = sent[name]
                if result.ready():
                    nodes[name] = _judged(result, token, time.monotonic() - began)
            waiting = [name for name in waiting if name not in nodes]
            if waiting and time.monotonic() - began > BUSY_AFTER_S:
                nodes.update(_busy(app, waiting))
                tell("waiting for a task to run on " + ", ".join(waiting))
            if time.monotonic() > deadline:
                nodes.update(
                    {
                        name: {"ok": False, "says": "consumes its queues, but runs nothing"}
                        for name in waiting
                        if name not in nodes
                    }
                )
            time.sleep(0.05)
    finally:
        _clean(app, sent)
    return nodes


def _send(app, name, deadline):
    token = secrets.token_hex(8)
    expires = max(1.0, deadline - time.monotonic())
    return token, app.send_task(TASK, args=[token], queue=QUEUE + name, expires=expires)


def _judged(result, token, seconds):
    answer = result.result
    if result.state == "SUCCESS" and isinstance(answer, (list, tuple)) and list(answer) == [token]:
        return {"ok": True, "says": f"ran a task in {seconds:.1f} s"}
    return {"ok": False, "says": f"a task ended as {result.state}: {answer}"}


def _busy(app, names):
    """Return the nodes whose every slot runs a task: the canary waits behind them, and that is well."""
    inspect = app.control.inspect(destination=names, timeout=REPLY_S, limit=len(names))
    active, stats = replies.by_node(inspect.active()), replies.by_node(inspect.stats())
    nodes = {}
    for name in names:
        slots = replies.slots(stats.get(name))
        running = replies.count(active.get(name)) or 0
        if slots and running >= slots:
            nodes[name] = {"ok": True, "says": f"consumes its queues; all its {slots} slots run tasks"}
    return nodes


def _clean(app, sent):
    """Take the canaries' queues and results away, whatever happened; workers forget them anyhow when they stop."""
    for name, (_, result) in sent.items():
        with contextlib.suppress(OSError, KombuError):
            app.control.cancel_consumer(QUEUE + name, destination=[name], reply=True, timeout=REPLY_S, limit=1)
            with app.connection_for_write() as connection:
                queue = app.amqp.queues[QUEUE + name](connection.default_channel)
                queue.declare()  # a connection deletes only what it knows
                queue.delete()
            result.forget()
