"""A program from elsewhere: it is put in its place only when its checksum is the one that is wanted."""

from __future__ import annotations

import hashlib
import os
import stat
import urllib.error
import urllib.request

from airfleet.agent import files, paths, run

CHUNK = 1 << 20
SILENCE_S = 60
MODE = 0o755


def look_binary(path, ask):
    """Return the SHA-256 of a program, and its owner and mode where they are not root's and 0755."""
    try:
        fd = paths.open_file(path)
    except FileNotFoundError:
        return None, {}
    except paths.Odd as e:
        return {"sha256": e.odd}, {}
    with os.fdopen(fd, "rb") as f:
        info = os.fstat(fd)
        state = {"sha256": _copy(f, None)}
    if info.st_uid != os.geteuid() or stat.S_IMODE(info.st_mode) != MODE:
        state["mode"] = files.mode(info)
    return state, {}


def make_binary(path, seen, want, means, tell):
    """Fetch `means["url"]`, or copy `means["path"]` of this host, beside its place; rename it if it is the right one.

    Until then whatever is there stays as it is.
    """
    source = means["url"] or means["path"]
    tell(f"getting {source}")
    with files.replacing(path, os.geteuid(), os.getegid(), MODE) as f:
        found = _fetch(means, f)
        if found != want["sha256"]:
            raise run.Refused(
                f"{source} has the SHA-256 {found}, not {want['sha256']}",
                kind="checksum",
                remedy="is it the version that is wanted? Write its published sha256 into database.proxy",
            )


def _fetch(means, out):
    """Write what is at the source, and return its SHA-256."""
    if not means["url"]:
        try:
            with open(means["path"], "rb") as f:
                return _copy(f, out)
        except (FileNotFoundError, IsADirectoryError) as e:
            raise run.Refused(f"there is no program {means['path']} on this host", remedy="put it there") from e
    try:
        with urllib.request.urlopen(means["url"], timeout=SILENCE_S) as answer:
            return _copy(answer, out)
    except (urllib.error.URLError, OSError) as e:
        if isinstance(e, OSError) and e.errno is not None and not isinstance(e, urllib.error.URLError):
            raise
        raise run.Refused(
            f"{means['url']} cannot be fetched: {getattr(e, 'reason', e)}",
            kind="unreachable",
            remedy="let this host reach it; or put the program on the host and name it: database.proxy.path",
        ) from e


def _copy(source, out):
    checksum = hashlib.sha256()
    while data := source.read(CHUNK):
        checksum.update(data)
        if out:
            out.write(data)
    return checksum.hexdigest()
