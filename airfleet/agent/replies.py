"""What Celery's workers answer, read: whatever strange stands in it counts as not answered. Used inside; no library."""

from __future__ import annotations


def by_node(replies):
    """Return {node: what it answered}."""
    return (
        {node: value for node, value in replies.items() if isinstance(node, str)} if isinstance(replies, dict) else {}
    )


def pongs(replies):
    """Return the name of each that answers a ping: one that does so twice, or that two have, twice."""
    found = [reply for reply in replies if isinstance(reply, dict)] if isinstance(replies, list) else []
    return [node for reply in found for node in reply if isinstance(node, str)]


def queues(value, hidden):
    """Return the names of the queues that a worker says it consumes, in order, without those that begin so."""
    names = [each.get("name") for each in _dicts(value)]
    return sorted({name for name in names if isinstance(name, str) and not name.startswith(hidden)})


def tasks(value):
    """Return {id: queue} of the tasks that a worker says it has."""
    found = {}
    for task in _dicts(value):
        if isinstance(task.get("id"), str):
            info = task.get("delivery_info")
            queue = info.get("routing_key") if isinstance(info, dict) else None
            found[task["id"]] = queue if isinstance(queue, str) else None
    return found


def count(value):
    """Return how many tasks a worker says it has; None where it does not say."""
    return len(value) if isinstance(value, list) else None


def slots(stats):
    """Return how many tasks a worker runs at the same time; None where it does not say."""
    pool = stats.get("pool") if isinstance(stats, dict) else None
    number = pool.get("max-concurrency") if isinstance(pool, dict) else None
    return number if _whole(number) else None


def done(stats):
    """Return how many tasks a worker has run since it started; None where it does not say."""
    total = stats.get("total", {}) if isinstance(stats, dict) else None
    return sum(filter(_whole, total.values())) if isinstance(total, dict) else None


def _whole(number):
    return isinstance(number, int) and not isinstance(number, bool)


def _dicts(value):
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []
