"""Makes the agent's program: the sources of `airfleet.agent` in one text, sent over stdin and run from memory.

And of some of them the text of a program that is installed: what a host does by itself, when nobody is there.
"""

from __future__ import annotations

import json
import re
import shlex
import zlib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

AGENT = Path(__file__).parent / "agent"
# By words: some Pythons can't parse in two threads at once (python/cpython#106905).
IMPORT = re.compile(r"^[ \t]*from airfleet\.agent(?:\.(\w+))? import (\([^)]*\)|[^#\n]+)", re.MULTILINE)

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

FIND = """\
class Hook:
    def find_spec(self, name, path=None, target=None):
        if name in SOURCES:
            return ModuleSpec(name, self, is_package=name in ("airfleet", "airfleet.agent"))
    def create_module(self, spec):
        return None
    def exec_module(self, module):
        exec(compile(SOURCES[module.__name__], "<" + module.__name__ + ">", "exec"), module.__dict__)
    def get_source(self, name):
        return SOURCES[name]
sys.meta_path.insert(0, Hook())
"""

HOOK = f"""\
import json, sys
from importlib.machinery import ModuleSpec
SOURCES = json.loads(sources)
{FIND}from airfleet.agent.main import main
main()
"""

BEGINS = "#### "  # a line before the text of each module

LAUNCHER = f"""\
# managed by airfleet; changes are shown by `fab plan` and undone.
import sys
from importlib.machinery import ModuleSpec
with open(sys.argv[1], encoding="utf-8") as f:
    parts = ("\\n" + f.read()).split("\\n{BEGINS}")[1:]
SOURCES = dict(part.partition("\\n")[::2] for part in parts)
{FIND}from airfleet.agent.scheduled import main
sys.exit(main(sys.argv[2]))
"""


@cache
def program() -> bytes:
    """Return the agent's program as it is sent: a line with its length, then the compressed text.

    The sources are JSON, which a host reads ten times faster than Python's own literals.
    """
    sources = {f"airfleet.agent.{path.stem}": path.read_text() for path in sorted(AGENT.glob("*.py"))}
    sources["airfleet"] = ""
    sources["airfleet.agent"] = sources.pop("airfleet.agent.__init__")
    packed = zlib.compress(f"{HOOK}\0{json.dumps(sources)}".encode(), 6)
    return b"airfleet %d\n" % len(packed) + packed


def sources_of(names: Iterable[str]) -> str:
    """Return the text of these modules of the agent, and of all that they import of it, for an installed program."""
    found: dict[str, str] = {}
    left = list(names)
    while left:
        name = left.pop()
        if name not in found:
            found[name] = (AGENT / f"{name}.py").read_text()
            left += _imported(found[name])
    texts = {"airfleet": "", "airfleet.agent": "", **{f"airfleet.agent.{name}": found[name] for name in sorted(found)}}
    return "".join(f"{BEGINS}{name}\n{text}" for name, text in texts.items())


def launcher(module: str) -> str:
    """Return the text of a program that is installed: it runs `main` of this module of the agent, from its sources."""
    return LAUNCHER.replace("agent.scheduled", f"agent.{module}")


def _imported(text: str) -> Iterator[str]:
    """Yield the modules of the agent that a module imports."""
    for module, names in IMPORT.findall(text):
        yield from [module] if module else (name.split()[0] for name in names.strip("()").split(",") if name.strip())


def command(user: str, sudo_password: str | None) -> tuple[str, bytes]:
    """Return the command line that starts the agent as root, and what goes before its program on stdin."""
    if user == "root":
        return shlex.join(PYTHON), b""
    if sudo_password is None:
        return shlex.join(["sudo", "-n", *PYTHON]), b""
    return shlex.join(["sudo", "-k", "-S", "-p", "", *PYTHON]), sudo_password.encode() + b"\n"


def request(words: dict[str, object]) -> bytes:
    """Return a request as it is sent after the program: a line with its length, then the JSON."""
    text = json.dumps(words, ensure_ascii=True).encode()
    return b"%d\n" % len(text) + text
