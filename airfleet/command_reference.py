"""Writes the page of all commands, from what `fab --help` knows of them. Pure."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

HEAD = """# Commands

Written by `make docs` from what `fab --help COMMAND` prints; do not edit. Exit codes: see the README.
"""


def page(tasks: Mapping[str, Any]) -> str:
    """Return the page of these Invoke tasks, by the names under which they are typed."""
    index = " · ".join(f"[{name}](#{anchor(name)})" for name in sorted(tasks))
    return "\n".join([HEAD, index, *(_section(name, task) for name, task in sorted(tasks.items()))])


def anchor(name: str) -> str:
    """Return the anchor that Markdown makes of a heading `fab NAME`."""
    return f"fab-{name.replace('.', '')}"


def _section(name: str, task: Any) -> str:
    arguments = task.get_arguments()
    positional = [each.name.upper() for each in arguments if each.positional]
    lines = [f"\n## fab {name}", "", f"`{' '.join(['fab', name, *positional, '[options]'])}`", ""]
    lines += [inspect.cleandoc(task.__doc__ or ""), ""]
    lines += [f"* `{each.name.upper()}`: {each.help}" for each in arguments if each.positional]
    lines += [f"* `{_flag(each)}`: {each.help}" for each in arguments if not each.positional]
    return "\n".join(lines).rstrip() + "\n"


def _flag(argument: Any) -> str:
    flag = f"--{argument.name.replace('_', '-')}"
    if argument.kind is bool:
        return flag
    return f"{flag}={'NUMBER' if argument.kind is int else 'VALUE'}"
