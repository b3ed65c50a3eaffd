"""Files, directories and links: looked at without following anybody's links (see `paths`), replaced atomically."""

from __future__ import annotations

import contextlib
import errno
import grp
import hashlib
import os
import pwd
import stat

from airfleet.agent import paths, run

TEXT_LIMIT = 256 * 1024
READ_LIMIT = 256 * 1024 * 1024  # nobody waits for what has no end
CHUNK = 1024 * 1024


def look_file(path, ask):
    """Return digest, owner, group and mode; and the text when it is not the one that is wanted."""
    try:
        fd = paths.open_file(path)
    except FileNotFoundError:
        return None, {}
    except paths.Odd as e:
        return {"sha256": e.odd}, {}
    digest, content = hashlib.sha256(), b""
    with os.fdopen(fd, "rb") as f:
        info = os.fstat(f.fileno())
        while f.tell() <= READ_LIMIT and (part := f.read(CHUNK)):
            digest.update(part)
            content = content + part if len(content) <= TEXT_LIMIT else content
        if f.tell() > READ_LIMIT:
            return {"sha256": f"too long: {info.st_size} bytes, of {info.st_mtime_ns}"}, {}
    state = {"sha256": digest.hexdigest(), **_owner(info)}
    if state["sha256"] == ask.get("sha256") or len(content) > TEXT_LIMIT:
        return state, {}
    return state, {"text": content.decode("utf-8", "replace")}


def make_file(path, seen, want, means, tell):
    """Write it anew in its place; refuse if it is not as it was seen."""
    with replacing(path, *_ids(want), int(want["mode"], 8)) as f:
        f.write(means["text"].encode())
        _unchanged(look_file(path, {})[0], seen, path)


def write(path, text, ids, mode):
    """Write a file anew, whatever was in its place: `ids` are those of its owner and group."""
    with replacing(path, *ids, mode) as f:
        f.write(text.encode())


@contextlib.contextmanager
def replacing(path, uid, gid, mode):
    """Yield a file beside the path, owned before it has content: at the block's end it takes the path's place.

    All of it is on the disk by then. Where the block does not come to its end nothing is left of it.
    """
    folder = paths.open_folder(os.path.dirname(path))
    name = os.path.basename(path)
    beside = f".{name}.airfleet-{os.getpid()}"
    try:
        fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=folder)
        try:
            with os.fdopen(fd, "wb") as f:
                os.fchown(fd, uid, gid)
                os.fchmod(fd, mode)
                yield f
                f.flush()
                os.fsync(fd)
            os.rename(beside, name, src_dir_fd=folder, dst_dir_fd=folder)
        except BaseException:
            os.unlink(beside, dir_fd=folder)
            raise
        os.fsync(folder)
    finally:
        os.close(folder)


def look_directory(path, ask):
    """Return owner, group and mode."""
    try:
        fd = paths.open_folder(path)
    except FileNotFoundError:
        return None, {}
    except NotADirectoryError:
        return {"mode": "not a directory"}, {}
    try:
        return _owner(os.fstat(fd)), {}
    finally:
        os.close(fd)


def make_directory(path, seen, want, means, tell):
    """Make it, or give it its owner, group and mode."""
    if seen is None:
        folder = paths.open_folder(os.path.dirname(path))
        try:
            os.mkdir(os.path.basename(path), 0o700, dir_fd=folder)
        except FileExistsError:
            pass  # another change made it meanwhile, as an account's home folder: what counts is set below
        finally:
            os.close(folder)
    fd = paths.open_folder(path)
    try:
        os.fchown(fd, *_ids(want))
        os.fchmod(fd, int(want["mode"], 8))
    finally:
        os.close(fd)


def look_link(path, ask):
    """Return where the link leads, as it is written."""
    try:
        folder = paths.open_folder(os.path.dirname(path))
    except FileNotFoundError:
        return None, {}
    try:
        return {"target": os.readlink(os.path.basename(path), dir_fd=folder)}, {}
    except FileNotFoundError:
        return None, {}
    except OSError as e:
        if e.errno == errno.EINVAL:
            return {"target": "not a link"}, {}
        raise
    finally:
        os.close(folder)


def make_link(path, seen, want, means, tell):
    """Put a new link in the old one's place by rename; refuse if it is not as it was seen."""
    folder = paths.open_folder(os.path.dirname(path))
    name = os.path.basename(path)
    temporary = f".{name}.airfleet-{os.getpid()}"
    try:
        _unchanged(look_link(path, {})[0], seen, path)
        if seen and seen["target"] == "not a link":
            raise run.Refused(
                f"{path} is not a link", remedy="move it away; airfleet removes nothing that it did not make"
            )
        os.symlink(want["target"], temporary, dir_fd=folder)
        account = pwd.getpwnam(means["owner"])
        os.chown(temporary, account.pw_uid, account.pw_gid, dir_fd=folder, follow_symlinks=False)
        os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
        os.fsync(folder)
    finally:
        os.close(folder)


def _unchanged(now, seen, path):
    if now != seen:
        raise run.Refused(
            f"{path} was changed by somebody else since it was looked at", kind="changed", remedy="look again: fab plan"
        )


def _owner(info):
    return {"owner": _name(pwd.getpwuid, info.st_uid), "group": _name(grp.getgrgid, info.st_gid), "mode": mode(info)}


def mode(info):
    """Return the permission bits as four octal digits."""
    return "%04o" % stat.S_IMODE(info.st_mode)


def _name(find, number):
    try:
        return find(number)[0]
    except KeyError:
        return str(number)


def _ids(want):
    try:
        return pwd.getpwnam(want["owner"]).pw_uid, grp.getgrnam(want["group"]).gr_gid
    except KeyError as e:
        raise run.Refused(f"no such account or group: {e.args[0]}") from e
