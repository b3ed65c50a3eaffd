"""What Celery's workers say of themselves, and what waits in the broker: run by the environment's own Python.

Only counts leave here: the arguments of tasks hold what is nobody's business.
"""

from __future__ import annotations

import time

from kombu.exceptions import KombuError

from airfleet.agent import inside_celery, replies

REPLY_S = 1.0
PATIENT_S = 5.0  # for a busy host; whoever has answered is not waited for longer
AGAIN_S = 5
UNACKED = "unacked"


def inside(words, tell):
    """Return {"nodes": {name: {…}}, "queues": {name: waiting}, "unacked": n}, or {"error": why it is not known}.

    With "twice" a node that holds tasks and runs none is looked at again after 5 s: is it `stuck`, or did it move.
    """
    app = inside_celery.client(words)
    try:
        found = _look(app, words)
        held = [name for name, node in found["nodes"].items() if node["reserved"] and not node["active"]]
        if held and words["twice"]:
            time.sleep(AGAIN_S)
            again = _look(app, words)
            for name in held:
                _compare(found, again, name)
    except inside_celery.STRANGE as e:
        return {"error": f"{inside_celery.UNREADABLE}: {e}", "nodes": {}, "queues": {}, "unacked": None}
    except (OSError, KombuError, *_errors(app)) as e:
        return {"error": str(e) or type(e).__name__, "nodes": {}, "queues": {}, "unacked": None}
    return {**found, "error": None}


def _errors(app):
    connection = app.connection_for_read()
    return (*connection.connection_errors, *connection.channel_errors)


def _look(app, words):
    expected = words["nodes"]
    names = _ping(app, timeout=REPLY_S)
    if late := sorted(set(expected) - set(names)):
        names += _ping(app, destination=late, timeout=PATIENT_S, limit=len(late))
    there = sorted(set(names))
    inspect = app.control.inspect(destination=there, timeout=PATIENT_S, limit=len(there)) if there else None
    queues, reserved, active, stats = (
        (replies.by_node(ask()) for ask in (inspect.active_queues, inspect.reserved, inspect.active, inspect.stats))
        if inspect
        else ({}, {}, {}, {})
    )
    nodes = {}
    for name in sorted({*there, *expected}):
        nodes[name] = {
            "answers": name in names,
            "replies": names.count(name),
            "queues": replies.queues(queues[name], inside_celery.QUEUE) if name in queues else None,
            "active": replies.count(active.get(name)),
            "reserved": replies.count(reserved.get(name)),
            "slots": replies.slots(stats.get(name)),
            "done": replies.done(stats.get(name)),
            "stuck": None,
        }
    wanted = sorted({*words["queues"], *(queue for node in nodes.values() for queue in node["queues"] or [])})
    return {"nodes": nodes, **_waiting(app, wanted)}


def _ping(app, **how):
    """Return the name of each that answers: one that does so twice, or that two have, twice."""
    return replies.pongs(app.control.broadcast("ping", reply=True, **how))


def _waiting(app, queues):
    with app.connection_for_read() as connection:
        client = connection.default_channel.client
        return {"queues": {queue: client.llen(queue) for queue in queues}, "unacked": client.hlen(UNACKED)}


def _compare(found, again, name):
    before, after = found["nodes"][name], again["nodes"].get(name) or {}
    same = all(before[each] == after.get(each) for each in ("reserved", "active", "done"))
    falling = any(again["queues"].get(queue, 0) < found["queues"].get(queue, 0) for queue in before["queues"] or [])
    before["stuck"] = same and not falling
