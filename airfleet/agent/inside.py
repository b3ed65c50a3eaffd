"""Runs a program of airfleet in the Python of a virtual environment, as the account that owns it.

The program is a module whose name begins with `inside_`: its text goes over stdin together with its words, so
that neither stands in a command line and nothing has to be installed. Of airfleet it can import there only the
modules that `also` names. A program without words may instead print its JSON from `main()`: `catalogue` does.
"""

from __future__ import annotations

import functools
import importlib.util
import json
import os
import re
import subprocess
import threading

from airfleet.agent import paths, run, stream
from airfleet.agent.register import NEEDED

MARK = "\x1e"
# At its end what was imported is frozen: Python need not search all of Airflow for garbage then.
LOADER = """\
import json, sys, types
request = json.load(sys.stdin)
sys.path.append(request["site"])
for name, source in request["also"]:
    module = sys.modules[name] = types.ModuleType(name)
    module.__path__ = []
    exec(compile(source, "<" + name + ">", "exec"), module.__dict__)
    if "." in name:
        setattr(sys.modules[name.rpartition(".")[0]], name.rpartition(".")[2], module)
def say(words):
    sys.__stdout__.write("\\n\\x1e" + json.dumps(words) + "\\n")
    sys.__stdout__.flush()
room = {"__name__": "airfleet_inside"}
exec(compile(request["source"], "<" + request["name"] + ">", "exec"), room)
if "inside" in room:
    say({"answer": room["inside"](request["words"], lambda text: say({"tell": text}))})
else:
    import contextlib, io
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        room["main"]()
    say({"answer": json.loads(printed.getvalue())})
import gc
gc.freeze()
"""


def there(venv):
    """Tell whether there is a virtual environment with a Python at this path."""
    return os.path.exists(os.path.join(venv, "bin", "python"))


def site_packages(venv):
    """Return the folder of an environment's packages."""
    return f"{venv}/lib/python{minor_of(venv)}/site-packages"


def minor_of(venv):
    """Return the minor version of an environment's Python, such as 3.11."""
    text = paths.read(f"{venv}/pyvenv.cfg", follow=True)
    found = re.search(r"^version(?:_info)?[ \t]*=[ \t]*([0-9]{1,9}\.[0-9]{1,9})", text, re.MULTILINE)
    if not found:
        raise run.Refused(f"{venv}/pyvenv.cfg names no version", kind="missing", remedy="run: fab bootstrap")
    return found.group(1)


def ask(venv, name, words, *, account, env=None, timeout_s=60, tell=None, also=()):
    """Return what the module airfleet.agent.NAME answers in this virtual environment; it can import those in `also`.

    Where it answers {"refused": …}, that is raised as a Refused with these words.
    """
    argv, request = _prepared(venv, name, words, also)
    try:
        text = run.run(argv, user=account, env=env, stdin=request, timeout_s=timeout_s, tell=_only(tell))
    except run.Refused as e:
        raise run.Refused(f"{name} failed in {venv}", kind=e.kind, tail=e.tail) from e
    said = [line for line in text.split("\n") if line.startswith(MARK)]
    return _answered(_said(said[-1]) if said else {}, f"{name} gave no answer in {venv}", text)


def listen(venv, name, words, hear, *, account, env=None, also=()):
    """Like `ask`, without a limit of time: `hear` gets whatever the program tells, whole and as it comes."""
    argv, request = _prepared(venv, name, words, also)
    last, other = [{}], stream.Kept()

    def out(data):
        for line in data.splitlines(keepends=True):
            if not line.startswith(MARK.encode()):
                other(line)
                continue
            last[0] = _said(line)
            if "tell" in last[0]:
                hear(last[0]["tell"])

    status = stream.stream(argv, out, other, user=account, env=env, stdin=request.encode())
    if status:
        raise run.Refused(f"{name} failed in {venv}", tail=run.tail(other.text))
    return _answered(last[0], f"{name} gave no answer in {venv}", other.text)


class Begun:
    """A program that goes on beside us, reading or writing one of `fds`; whoever begins it ends it.

    With `patience_s` it is asked to end, as by Ctrl-C, and has so long to do it.
    """

    def __init__(self, venv, name, words, *, account, env=None, also=(), fds=(), patience_s=0):
        argv, request = _prepared(venv, name, words, also)
        self._missing = f"{name} gave no answer in {venv}"
        self._last, self._other = {}, stream.Kept()
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        self._child = run.started(argv, user=account, env=env, pass_fds=fds, patience_s=patience_s, **pipes)
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()
        run.feed(self._child, request.encode())

    def answer(self):
        """Return what it answers at its end, or raise its refusal."""
        self._reading.join()
        self._child.wait()
        return _answered(self._last, self._missing, self._other.text)

    def end(self):
        """End it, if it still runs."""
        run.ended(self._child)
        self._reading.join()

    def _read(self):
        with self._child.stdout as lines:
            for line in iter(functools.partial(lines.readline, run.MOST), b""):
                if line.startswith(MARK.encode()):
                    self._last = _said(line)
                else:
                    self._other(line)


def _prepared(venv, name, words, also):
    """Return the command line of a program, and what goes to its stdin."""
    python = os.path.join(venv, "bin", "python")
    if not there(venv):
        raise run.Refused(f"there is no Python at {python}", kind="missing", remedy="run: fab bootstrap")
    also = [each for other in also for each in (*NEEDED.get(other, ()), other)] + list(NEEDED.get(name, ()))
    packages = [("airfleet", ""), ("airfleet.agent", "")] if also else []
    more = packages + [(f"airfleet.agent.{other}", source_of(other)) for other in also]
    request = json.dumps(
        {"name": name, "source": source_of(name), "site": site_packages(venv), "words": words, "also": more}
    )
    # -S: what packages hook into Python's start (*.pth) costs more time than a whole question to the database.
    return [python, "-I", "-S", "-c", LOADER], request


def _answered(last, missing, text):
    """Return the answer in the last thing that a program said, or raise its refusal."""
    answer = last.get("answer")
    if not isinstance(answer, dict):
        raise run.Refused(missing, tail=run.tail(text))
    if "refused" in answer:
        refused = answer["refused"] if isinstance(answer["refused"], dict) else {}
        more = {key: str(refused[key]) for key in ("kind", "remedy", "tail") if key in refused}
        raise run.Refused(str(refused.get("what", missing)), **more)
    return answer


def _said(line):
    """Return what a program of ours said: in the account's environment that may be somebody else's."""
    try:
        words = run.parsed(line[1:])
    except ValueError:
        return {}
    return words if isinstance(words, dict) else {}


def source_of(name):
    """Return the text of a module of the agent, wherever the agent itself came from."""
    full = f"airfleet.agent.{name}"
    return importlib.util.find_spec(full).loader.get_source(full)


def _only(tell):
    """Let through what the program itself tells, not what the libraries around it print."""
    if tell is None:
        return None

    def heard(line):
        if line.startswith(MARK):
            text = _said(line).get("tell")  # run() cuts long lines: an answer, not something to tell
            if text:
                tell(str(text))

    return heard
