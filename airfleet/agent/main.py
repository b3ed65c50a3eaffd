"""The agent's conversation: read a request, do it, answer in JSON lines; the end when the operator is gone.

A request is one JSON object: {"op": "look" | "apply" | "lock" | a name in CALLS or STREAMS, …}, behind the modules that
it needs and that were not sent before. With a true "more" it is done by a process of its own, which takes all that it
came to know along; when that has ended a "free" is said, and the next request may come. Without, it is the last one.
The answers are JSON lines: {"t": "seen" | "progress" | "done" | "failed" | "part" | "ready" | "answer" | "end", …}.
What comes after the request says only that the operator is there; behind a "ready" it is what one of TAKES takes in.
"""

from __future__ import annotations

import base64
import importlib
import json
import os
import select
import signal
import sys
import threading
import zlib

from airfleet.agent import paths, run
from airfleet.agent.register import CALLS, KINDS, STREAMS, TAKES, modules_of

SILENCE_S = 90
IDLE_S = 90  # that an agent waits for the next request
CHUNK = 64 * 1024
DIGITS = 40  # of a line with two lengths
ENDING = (signal.SIGHUP, signal.SIGTERM)
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


def main(sources=None):
    """Serve the requests on stdin; `sources` are those of the modules that are here, and get those that come."""
    stdin, sources = sys.stdin.buffer, {} if sources is None else sources
    os.umask(0o022)
    request = _request(stdin, sources)
    while request and request.get("more"):
        signal.alarm(0)
        _get_ready(request)
        _do_apart(request, stdin)
        say({"t": "free"})
        signal.alarm(IDLE_S)
        request = _request(stdin, sources)
    signal.alarm(0)
    if request:
        _do(request, stdin)


def _request(stdin, sources):
    """Return the next request, None at the end; what is none is one that nobody knows."""
    line = stdin.readline(DIGITS)
    while line == b"\n":
        line = stdin.readline(DIGITS)
    if not line:
        return None
    try:
        packed, length = map(int, line.split())
        if packed > 0:
            sources.update(json.loads(zlib.decompress(stdin.read(packed))))
        request = run.parsed(stdin.read(max(0, length)))
    except (ValueError, TypeError, OverflowError, zlib.error):
        request = None
    op = request.get("op") if isinstance(request, dict) else None
    return request if isinstance(op, str) else {"op": ""}


def _get_ready(request):
    """Import what a request needs before there is a process for it: the next ones have it then."""
    try:
        for name in modules_of(request):
            importlib.import_module("airfleet.agent." + name)
    except Exception:  # noqa: BLE001  # whoever does the request stumbles over the same, and tells
        pass


def _do_apart(request, stdin):
    """Do a request in a process of its own, and wait for its end; if that was none in peace, it is ours too."""
    ours, its = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(its)
        _do(request, stdin, ours)
        sys.stdout.flush()
        os._exit(0)
    os.close(ours)
    for each in ENDING:
        signal.signal(each, lambda number, _: os.kill(pid, number))
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    for each in ENDING:
        signal.signal(each, signal.SIG_DFL)
    os.close(its)
    if status:
        os._exit(status if status > 0 else run.LOST)


def _do(request, stdin, parent=None):
    """Do a request as long as the operator is there, and the process whose request it was."""
    coming = _frames_to_come() if request["op"] in TAKES else None
    threading.Thread(target=_watch, args=(stdin, coming, parent), daemon=True).start()
    for each in ENDING:
        signal.signal(each, lambda *_: threading.Thread(target=run.lose).start())
    answer(request, coming)


def _frames_to_come():
    import queue

    return queue.Queue(FRAMES)


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


def _watch(stdin, coming=None, parent=None):
    """End, with everything that was started, when the operator's side is closed or has been silent too long.

    And when `parent` is: the end of a pipe that the process has which waits for this one.
    """
    fd = stdin.fileno()
    watched = [fd] if parent is None else [fd, parent]
    while True:
        ready, _, _ = select.select(watched, [], [], SILENCE_S)
        data = os.read(fd, CHUNK) if ready == [fd] else b""
        if not data:
            run.lose()
        if coming:
            coming.put(data)
