"""What a change would replace on this host: files, links and the states of units; taken, and put back as they were.

Paths are walked as `files` walks them: no link but one of root's is followed, now or when all is put back.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import stat

from airfleet.agent import files, run
from airfleet.agent import paths as walked

PROPERTIES = "Id,LoadState,ActiveState,UnitFileState"
UP = ("active", "activating", "reloading")
RUN = "/run/"
BACK_S = 60
MOST = 16 * 1024 * 1024  # bytes of a file: what is kept to be put back is ours, and small
DRAINED = "drained"  # the mark of a drain, as `units` has it, whose imports are not wanted here


def take(paths, units, places):
    """Return {"paths": {path: what is there, or None}, "units": {name: {"enabled", "active"}}}."""
    return {"paths": {path: there(path) for path in paths}, "units": states(units, places)}


def there(path):
    """Return a file with its content, owner and mode, or a link with its target; None where nothing is."""
    try:
        folder = walked.open_folder(os.path.dirname(path))
    except FileNotFoundError:
        return None
    name = os.path.basename(path)
    try:
        info = os.stat(name, dir_fd=folder, follow_symlinks=False)
        owner = {"uid": info.st_uid, "gid": info.st_gid}
        if stat.S_ISLNK(info.st_mode):
            return {"link": os.readlink(name, dir_fd=folder), **owner}
        fd = walked.open_file(path)
    except FileNotFoundError:
        return None
    except walked.Odd as e:
        return {"other": e.odd}
    finally:
        os.close(folder)
    with os.fdopen(fd, "rb") as f:
        info, content = os.fstat(fd), f.read(MOST + 1)
    if len(content) > MOST:
        return {"other": f"longer than {MOST} bytes"}
    content = base64.b64encode(content).decode()
    return {"content": content, "uid": info.st_uid, "gid": info.st_gid, "mode": files.mode(info)}


def put_back(path, was):
    """Make a path what it was, by rename, and tell whether that was a change."""
    now = there(path)
    if now == was:
        return False
    if "other" in (was or {}) or "other" in (now or {}):
        raise run.Refused(f"{path} is, or was, neither a file nor a link")
    folder = walked.open_folder(os.path.dirname(path))
    name = os.path.basename(path)
    try:
        if was is None:
            os.unlink(name, dir_fd=folder)
        else:
            _replace(path, folder, name, was)
        os.fsync(folder)
    finally:
        os.close(folder)
    return True


def _replace(path, folder, name, was):
    if "link" not in was:
        with files.replacing(path, was["uid"], was["gid"], int(was["mode"], 8)) as f:
            f.write(base64.b64decode(was["content"]))
        return
    temporary = f".{name}.airfleet-back"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(temporary, dir_fd=folder)  # of a try that was killed
    os.symlink(was["link"], temporary, dir_fd=folder)
    os.chown(temporary, was["uid"], was["gid"], dir_fd=folder, follow_symlinks=False)
    os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)


def states(names, places):
    """Return {unit: {"enabled", "active"}} of these units and of all that fit the patterns among them."""
    if not names:
        return {}
    text = systemctl(places, "show", f"--property={PROPERTIES}", "--", *names)
    found = {}
    for block in text.split("\n\n"):
        shown = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        if "Id" in shown:
            found[shown["Id"]] = {
                "enabled": shown.get("UnitFileState") == "enabled",
                "active": shown.get("ActiveState") in UP,
            }
    return found


def systemctl(places, *words, ok=(0,)):
    """Ask systemd; `places` may name another program."""
    return run.run([places.get("systemctl", "systemctl"), *words], errors=False, ok=ok)


def go_back(saved, places, tell):
    """Put all of a snapshot back and restart what runs on something else; return what is not so, and what is not up.

    It may be done again from wherever it was cut short. Workers are restarted as systemd does it: they finish the tasks
    that they have, however long that takes, and nobody waits for them here.
    """
    problems = []
    now = states([*saved["units"]], places)
    for name, was in saved["units"].items():
        is_now = now.get(name, {"enabled": False, "active": False})
        if is_now["enabled"] and not was["enabled"]:
            systemctl(places, "disable", name, ok=(0, 1))
            if is_now["active"] and not was["active"]:
                systemctl(places, "stop", "--no-block", name, ok=(0, 1, 5))
    for path, was in saved["paths"].items():
        try:
            if put_back(path, was):
                tell(f"put back {path}")
        except (run.Refused, OSError) as e:
            problems.append(f"{path}: {run.words_of(e)['error']}")
    if not saved["units"]:
        return problems, []
    systemctl(places, "daemon-reload")
    for name, was in saved["units"].items():
        if was["enabled"] and not now.get(name, was)["enabled"]:
            systemctl(places, "enable", name, ok=(0, 1))
    ran = [name for name, was in saved["units"].items() if was["active"]]
    stale = [name for name in ran if is_stale(name, places) or not now.get(name, {"active": False})["active"]]
    if not stale:
        return problems, []
    tell(f"restart {' '.join(stale)}")
    systemctl(places, "restart", "--no-block", *stale, ok=(0, 1, 5))
    if run.wait_until(lambda: not _down(stale, places), BACK_S, 1):
        return problems, []
    return problems, [f"not up after {BACK_S} s: {', '.join(_down(stale, places))}"]


def _down(names, places):
    """Return those that neither run nor finish their tasks first."""
    text = systemctl(places, "show", "--property=Id,ActiveState", "--", *names)
    blocks = [dict(line.split("=", 1) for line in block.splitlines() if "=" in line) for block in text.split("\n\n")]
    return [b["Id"] for b in blocks if b.get("ActiveState") not in ("active", "deactivating")]


def is_stale(name, places):
    """Tell whether a unit's process read another file, or went by another link, than there is now; or was drained."""
    folder = os.path.join(places.get("run", RUN), name.replace(".service", ""))
    if os.path.lexists(os.path.join(folder, DRAINED)):
        return True  # the run that began that will not restart it any more
    stamp = there(os.path.join(folder, "stamp")) or {}
    text = base64.b64decode(stamp.get("content", "")).decode(errors="replace")
    lines = [line.split("  ", 1) for line in text.splitlines() if "  " in line]
    return any(value != _read_now(path) for value, path in lines)


def _read_now(path):
    try:
        now = there(path) or {}
    except (run.Refused, OSError):
        return None
    if "content" in now:
        return hashlib.sha256(base64.b64decode(now["content"])).hexdigest()
    return now.get("link")
