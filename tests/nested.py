"""Plain values in nested dicts and lists: every place in them, and another value at one."""

from __future__ import annotations


def paths_of(value, path=()):
    """Return the path of each value in nested dicts and lists."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(each for key, below in inner for each in paths_of(below, (*path, key)))]


def replaced(value, path, new):
    """Return a copy of nested dicts and lists with another value at the path."""
    if not path:
        return new
    copy = value.copy()
    copy[path[0]] = replaced(value[path[0]], path[1:], new)
    return copy
