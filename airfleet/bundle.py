"""Puts sources of `airfleet.agent` together: as they are, for `sending`, and as a text that is installed as a program.

What is installed is what a host does by itself, when nobody is there.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

AGENT = Path(__file__).parent / "agent"
# By words: some Pythons can't parse in two threads at once (python/cpython#106905).
IMPORT = re.compile(r"^[ \t]*from airfleet\.agent(?:\.(\w+))? import (\([^)]*\)|[^#\n]+)", re.MULTILINE)

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


def with_all(names: Iterable[str], needs: Callable[[str], Iterable[str]]) -> frozenset[str]:
    """Return these modules, all that `needs` says of each, and so on."""
    found: set[str] = set()
    left = set(names)
    while left:
        name = left.pop()
        found.add(name)
        left |= {*needs(name)} - found
    return frozenset(found)


def sources_of(names: Iterable[str]) -> str:
    """Return the text of these modules of the agent, and of all that they import of it, for an installed program."""
    found = with_all(names, lambda name: imported(text_of(name)))
    texts = {"airfleet": "", "airfleet.agent": "", **named(found)}
    return "".join(f"{BEGINS}{name}\n{text}" for name, text in texts.items())


def launcher(module: str) -> str:
    """Return the text of a program that is installed: it runs `main` of this module of the agent, from its sources."""
    return LAUNCHER.replace("agent.scheduled", f"agent.{module}")


@cache
def text_of(name: str) -> str:
    """Return the text of a module of the agent."""
    return (AGENT / f"{name}.py").read_text()


def named(names: Iterable[str]) -> dict[str, str]:
    """Return the texts of these modules by their whole names."""
    return {f"airfleet.agent.{name}": text_of(name) for name in sorted(names)}


def imported(text: str) -> Iterator[str]:
    """Yield the modules of the agent that a module imports."""
    for module, names in IMPORT.findall(text):
        yield from [module] if module else (name.split()[0] for name in names.strip("()").split(",") if name.strip())
