"""What Celery's workers say of themselves, and what waits in the broker: run by the environment's own Python.

Only counts leave here: the arguments of tasks hold what is nobody's business.
"""

from __future__ import annotations

import time

from kombu.exceptions import KombuError

from airfleet.agent import inside_celery

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
    queues = (inspect.active_queues() or {}) if inspect else {}
    reserved = (inspect.reserved() or {}) if inspect else {}
    active = (inspect.active() or {}) if inspect else {}
    stats = (inspect.stats() or {}) if inspect else {}
    nodes = {}
    for name in sorted({*there, *expected}):
        served = [each["name"] for each in queues.get(name) or []]
        nodes[name] = {
            "answers": name in names,
            "replies": names.count(name),
            "queues": sorted(each for each in served if not each.startswith(inside_celery.QUEUE))
            if name in queues
            else None,
            "active": len(active.get(name) or []) if name in active else None,
            "reserved": len(reserved.get(name) or []) if name in reserved else None,
            "slots": ((stats.get(name) or {}).get("pool") or {}).get("max-concurrency"),
            "done": sum(((stats.get(name) or {}).get("total") or {}).values()) if name in stats else None,
            "stuck": None,
        }
    wanted = sorted({*words["queues"], *(queue for node in nodes.values() for queue in node["queues"] or [])})
    return {"nodes": nodes, **_waiting(app, wanted)}


def _ping(app, **how):
    """Return the name of each that answers: one that does so twice, or that two have, twice."""
    replies = app.control.broadcast("ping", reply=True, **how) or []
    return [name for reply in replies for name in reply]


def _waiting(app, queues):
    with app.connection_for_read() as connection:
        client = connection.default_channel.client
        return {"queues": {queue: client.llen(queue) for queue in queues}, "unacked": client.hlen(UNACKED)}


def _compare(found, again, name):
    before, after = found["nodes"][name], again["nodes"].get(name) or {}
    same = all(before[each] == after.get(each) for each in ("reserved", "active", "done"))
    falling = any(again["queues"].get(queue, 0) < found["queues"].get(queue, 0) for queue in before["queues"] or [])
    before["stuck"] = same and not falling
