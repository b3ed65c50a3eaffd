"""Celery's workers while they are drained: what runs on them, who else serves their queues, and their consumers.

Run by the environment's own Python beside `inside_celery` and `inside_postgres`. Celery's answers hold the arguments of
tasks: here they are counted and matched by their ids, and go no further.
"""

from __future__ import annotations

import contextlib
import time

import psycopg2
from kombu.exceptions import KombuError

from airfleet.agent import inside_celery, inside_postgres, replies

REPLY_S = 2
EVERYBODY_S = 1
ANSWER_S = 20  # a worker that has just been started needs some seconds before it answers
POLL_S = 1
TELL_S = 5
GIVE_BACK_S = 20


class Workers:
    """Some nodes and the broker that they are reached through."""

    def __init__(self, words):
        self.app = inside_celery.client(words)
        self.nodes = words["nodes"]
        self.dsn = words.get("dsn")
        self.names = {}
        with self.app.connection_for_read() as connection:
            self.errors = (OSError, KombuError, *connection.connection_errors, *connection.channel_errors)

    def look(self):
        """Return {node: {"queues", "active", "reserved"}} of those that answer; the latter two are {id: queue}."""
        serving = self.serving(self.nodes)
        answering = list(serving)
        if not answering:
            return {}
        # What is reserved may become active in between: asked in this order it is never missed.
        reserved = replies.by_node(self._inspect(answering).reserved())
        active = replies.by_node(self._inspect(answering).active())
        return {
            node: {**serving[node], "active": replies.tasks(active[node]), "reserved": replies.tasks(reserved[node])}
            for node in answering
            if node in reserved and node in active
        }

    def serving(self, nodes):
        """Return {node: {"queues"}} of those that answer."""
        served = replies.by_node(self._inspect(nodes).active_queues()) if nodes else {}
        return {node: {"queues": _queues(queues)} for node, queues in served.items()}

    def gaps(self, seen, leaving):
        """Return [{"queue", "waiting", "running"}] for each queue with work that only `leaving` serves."""
        found, everybody = [], None
        for queue in sorted({queue for node in leaving for queue in seen.get(node, {}).get("queues", [])}):
            if any(queue in view["queues"] for node, view in seen.items() if node not in leaving):
                continue
            if everybody is None:
                everybody = replies.by_node(self.app.control.inspect(timeout=EVERYBODY_S).active_queues())
            if any(queue in _queues(served) for node, served in everybody.items() if node not in leaving):
                continue
            held = [of for node in leaving for of in _all(seen[node]).values() if of == queue]
            waiting = self._waiting(queue)
            if waiting or held:
                found.append({"queue": queue, "waiting": waiting, "running": len(held)})
        return found

    def take_away(self, node, queues):
        """Let a node consume these queues no more."""
        for queue in queues:
            self.app.control.cancel_consumer(queue, destination=[node], reply=True, timeout=REPLY_S, limit=1)

    def give_back(self, taken, timeout_s=GIVE_BACK_S):
        """Let the nodes consume their queues again; return those that did not within the time: {node: says}.

        They consume them until their connection to the broker is renewed: see `units.MARK`.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            with contextlib.suppress(*self.errors):
                for node, queues in taken.items():
                    for queue in queues:
                        self.app.control.add_consumer(queue, destination=[node], reply=True, timeout=REPLY_S, limit=1)
                return {n: s for n, s in inside_celery.consuming(self.app, taken, deadline, _silent).items() if s}
            if time.monotonic() > deadline:
                return dict.fromkeys(taken, "the broker does not answer")
            time.sleep(0.5)

    def tasks(self, ids):
        """Return what Airflow calls these tasks, as far as it knows them: [{"dag", "task", …}, …]."""
        if self.dsn and any(each not in self.names for each in ids):
            with contextlib.suppress(inside_postgres.Refusal, psycopg2.Error):
                connection = inside_postgres.connect(self.dsn)
                with contextlib.closing(connection):
                    self.names.update(inside_postgres.tasks_of(connection, list(ids)))
        return [self.names[each] for each in ids if each in self.names]

    def _inspect(self, nodes):
        return self.app.control.inspect(destination=list(nodes), timeout=REPLY_S, limit=len(nodes))

    def _waiting(self, queue):
        with self.app.connection_for_read() as connection, contextlib.suppress(*connection.channel_errors):
            return connection.default_channel.queue_declare(queue, passive=True).message_count
        return 0  # an empty list is no key of Redis


def inside(words, tell):
    """Answer one question."""
    questions = {"look": look, "drain": drain, "resume": resume}
    workers = Workers(words)
    try:
        return questions[words["question"]](workers, words, tell)
    except inside_celery.STRANGE as e:
        return {"refused": {"what": f"{inside_celery.UNREADABLE}: {type(e).__name__}: {e}"}}
    except workers.errors as e:
        what = f"the broker cannot be asked: {e or type(e).__name__}"
        return {"refused": {"what": what, "remedy": "look at Redis: fab plan, or systemctl status redis-server"}}


def look(workers, words, tell):
    """Return {"nodes": {name: {"queues", "running", "unnamed", "reserved", "gaps"}}} of the nodes that answer."""
    seen = workers.look()
    workers.tasks([each for view in seen.values() for each in view["active"]])
    nodes = {}
    for node, view in seen.items():
        running = workers.tasks(view["active"])
        nodes[node] = {
            "queues": view["queues"],
            "running": running,
            "unnamed": len(view["active"]) - len(running),
            "reserved": len(view["reserved"]),
            "gaps": workers.gaps(seen, [node]),
        }
    return {"nodes": nodes}


def drain(workers, words, tell):
    """Take the nodes' consumers away and wait until they run nothing; say who held it up where that took too long.

    The answer's "outcome" is "empty"; "late" (with `kill_after_wait`: the consumers are still away); "held" (they were
    given back); or "silent": a node does not answer, nothing was done.
    """
    deadline = time.monotonic() + ANSWER_S
    while True:
        seen = workers.look()
        silent = [node for node in workers.nodes if node not in seen]
        if not silent:
            break
        if time.monotonic() > deadline:
            return {"outcome": "silent", "nodes": silent}
        tell("waiting for an answer of " + ", ".join(silent))
        time.sleep(0.5)
    gaps = [] if words["allow_gap"] else workers.gaps({**workers.serving(words["siblings"]), **seen}, workers.nodes)
    if gaps:
        return {"refused": refusal(workers.nodes, gaps)}
    taken = {node: seen[node]["queues"] for node in workers.nodes}
    try:
        return _wait(workers, words, taken, tell)
    except BaseException:  # also the loss of whoever listens
        workers.give_back(taken)
        raise


def _wait(workers, words, taken, tell):
    began = told = time.monotonic()
    most = words["max_wait_s"]
    for mark in words["marks"]:
        with contextlib.suppress(OSError), open(mark, "a"):
            pass
    for node, queues in taken.items():
        workers.take_away(node, queues)
    while True:
        try:
            seen, says = workers.look(), ""
        except workers.errors as e:
            seen, says = {}, f"the broker cannot be asked: {e}"
        for node, view in seen.items():
            workers.take_away(node, view["queues"])  # it was restarted meanwhile, or found its broker again
        left = [each for view in seen.values() for each in _all(view)]
        waited = time.monotonic() - began
        if len(seen) == len(taken) and not left and not any(view["queues"] for view in seen.values()):
            return {"outcome": "empty", "waited_s": round(waited, 1), "holding": [], "unnamed": 0}
        if waited >= most:
            return _too_late(workers, words, taken, left, waited)
        if time.monotonic() - told > TELL_S or told == began:
            told = time.monotonic()
            tell(f"{says or _spoken(workers.tasks(left), len(left))}: {waited:.0f} s, at most {most} s")
        time.sleep(min(POLL_S, max(0.0, most - waited)))


def _too_late(workers, words, taken, left, waited):
    workers.names.clear()  # their times are of now
    holding = workers.tasks(left)
    answer = {"waited_s": round(waited, 1), "holding": holding, "unnamed": len(left) - len(holding)}
    if words["kill_after_wait"]:
        return {"outcome": "late", **answer}
    return {"outcome": "held", "lost": workers.give_back(taken), **answer}


def resume(workers, words, tell):
    """Let the nodes consume their queues again; return {"lost": {node: says}} for those that do not."""
    return {"lost": workers.give_back(dict.fromkeys(workers.nodes, words["queues"]))}


def refusal(nodes, gaps):
    """Return the words of a refusal: nobody else would serve these queues."""
    what = "; ".join(f"{gap['queue']} ({gap['waiting']} waiting, {gap['running']} running)" for gap in gaps)
    return {
        "what": f"nobody else serves the queue {what} while {' and '.join(nodes)} takes no tasks",
        "kind": "refused",
        "remedy": "wait until the queue is empty, start another worker, or accept the gap with --allow-gap",
    }


def _spoken(tasks, count):
    if not count:
        return "waiting for its last word"
    if not tasks:
        return f"waiting for {count} tasks"
    first = "{dag}.{task} ({run}, try {try})".format(**tasks[0])[:110]
    return f"waiting for {first}" + (f" and {count - 1} more" if count > 1 else "")


def _queues(served):
    return replies.queues(served, inside_celery.QUEUE)


def _all(view):
    return {**view["reserved"], **view["active"]}


def _silent(_):
    """Tell nobody."""
