"""What is sent to a host's agent over its stdin: its heart, then each request with what that needs beside it."""

from __future__ import annotations

import json
import re
import shlex
import zlib
from functools import cache
from typing import TYPE_CHECKING, Any

from airfleet.agent import register
from airfleet.bundle import FIND, imported, named, text_of, with_all

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

STARTED = re.compile(r'"(inside_\w+|catalogue)"')  # a program for the Python of an environment, by its name
LEVEL = 6
# What every agent has; all else comes with the requests.
HEART = frozenset({"main", "paths", "register", "run"})

# The alarm ends an agent whose request never comes; once there is one, `main` watches over its operator itself.
LOADER = """\
import signal, sys, zlib
signal.alarm(90)
b = sys.stdin.buffer
line = b.readline()
while line and not line.startswith(b"airfleet "):
    line = b.readline()
hook, _, sources = zlib.decompress(b.read(int(line.split()[1]))).partition(b"\\0")
exec(compile(hook, "<airfleet>", "exec"))
"""

PYTHON = ["python3", "-I", "-S", "-c", LOADER]  # -S: no .pth file of the host's, and 4 ms

HOOK = f"""\
import json, sys
from importlib.machinery import ModuleSpec
SOURCES = json.loads(sources)
{FIND}from airfleet.agent.main import main
main(SOURCES)
"""


@cache
def program() -> bytes:
    """Return the agent's heart as it is sent: a line with its length, then the compressed text.

    The sources are JSON, which a host reads ten times faster than Python's own literals.
    """
    sources = {"airfleet": "", "airfleet.agent": "", **named(HEART)}
    packed = zlib.compress(f"{HOOK}\0{json.dumps(sources)}".encode(), LEVEL)
    return b"airfleet %d\n" % len(packed) + packed


def request(words: Mapping[str, Any], sent: Collection[str] = HEART) -> bytes:
    """Return a request as it is sent after the program: a line with two lengths, modules, and the request in JSON.

    The modules are those that the host needs for it and that were not sent before, as `needed` names them.
    """
    names = needed(words) - frozenset(sent)
    packed = _packed(names) if names else b""
    text = json.dumps(words, ensure_ascii=True).encode()
    return b"%d %d\n" % (len(packed), len(text)) + packed + text


def needed(words: Mapping[str, Any]) -> frozenset[str]:
    """Return the modules that a request needs: those that do it, and all that they import or start."""
    try:
        names = register.modules_of(words)
    except KeyError:
        return HEART  # of a kind that nobody knows: the host says so
    program = words.get("words", {}).get("program")
    if isinstance(program, str) and STARTED.fullmatch(f'"{program}"'):
        names = {*names, program}
    return HEART | _closure(frozenset(names))


@cache
def _closure(names: frozenset[str]) -> frozenset[str]:
    """Return these modules of the agent, and all that they import, or start in an environment's Python."""

    def needs(name: str) -> set[str]:
        text = text_of(name)
        return {*imported(text), *STARTED.findall(text), *register.NEEDED.get(name, ())} - HEART

    return with_all(names - HEART, needs)


@cache
def _packed(names: frozenset[str]) -> bytes:
    return zlib.compress(json.dumps(named(names)).encode(), LEVEL)


def command(user: str, sudo_password: str | None) -> tuple[str, bytes]:
    """Return the command line that starts the agent as root, and what goes before its program on stdin."""
    if user == "root":
        return shlex.join(PYTHON), b""
    if sudo_password is None:
        return shlex.join(["sudo", "-n", *PYTHON]), b""
    return shlex.join(["sudo", "-k", "-S", "-p", "", *PYTHON]), sudo_password.encode() + b"\n"
