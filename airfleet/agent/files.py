"""Files, directories and links: looked at without following anybody's links, replaced atomically.

A path is walked one component at a time with O_NOFOLLOW. A symbolic link on the way is followed only if
root owns it: what another account may have put there must not lead root's hands elsewhere.
"""

from __future__ import annotations

import errno
import grp
import hashlib
import os
import pwd
import stat

from airfleet.agent import run

TEXT_LIMIT = 256 * 1024
MAX_LINKS = 8


def look_file(path, ask):
    """Return digest, owner, group and mode; and the text when it is not the one that is wanted."""
    try:
        folder = open_folder(os.path.dirname(path))
    except FileNotFoundError:
        return None, {}
    try:
        fd = os.open(os.path.basename(path), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    except FileNotFoundError:
        return None, {}
    except OSError as e:
        if e.errno == errno.ELOOP:
            return {"sha256": "not a file but a link"}, {}
        raise
    finally:
        os.close(folder)
    with os.fdopen(fd, "rb") as f:
        info = os.fstat(f.fileno())
        if not stat.S_ISREG(info.st_mode):
            return {"sha256": "not a regular file"}, {}
        content = f.read()
    state = {"sha256": hashlib.sha256(content).hexdigest(), **_owner(info)}
    if state["sha256"] == ask.get("sha256") or len(content) > TEXT_LIMIT:
        return state, {}
    return state, {"text": content.decode("utf-8", "replace")}


def make_file(path, seen, want, means, tell):
    """Write beside it, with owner and mode before the content, then rename; refuse if it is not as it was seen."""
    folder = open_folder(os.path.dirname(path))
    name = os.path.basename(path)
    temporary = f".{name}.airfleet-{os.getpid()}"
    try:
        fd = os.open(
            temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=folder
        )
        try:
            os.fchown(fd, *_ids(want))
            os.fchmod(fd, int(want["mode"], 8))
            with os.fdopen(fd, "wb") as f:
                f.write(means["text"].encode())
                f.flush()
                os.fsync(f.fileno())
            _unchanged(look_file(path, {})[0], seen, path)
            os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
        except BaseException:
            os.unlink(temporary, dir_fd=folder)
            raise
        os.fsync(folder)
    finally:
        os.close(folder)


def look_directory(path, ask):
    """Return owner, group and mode."""
    try:
        fd = open_folder(path)
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
        folder = open_folder(os.path.dirname(path))
        try:
            os.mkdir(os.path.basename(path), 0o700, dir_fd=folder)
        except FileExistsError:
            pass  # another change made it meanwhile, as an account's home folder: what counts is set below
        finally:
            os.close(folder)
    fd = open_folder(path)
    try:
        os.fchown(fd, *_ids(want))
        os.fchmod(fd, int(want["mode"], 8))
    finally:
        os.close(fd)


def look_link(path, ask):
    """Return where the link leads, as it is written."""
    try:
        folder = open_folder(os.path.dirname(path))
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
    folder = open_folder(os.path.dirname(path))
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


def open_folder(path, links=0):
    """Return a descriptor of the directory at this absolute path, having followed nobody's links but root's."""
    fd = os.open("/", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    walked = ""
    for name in [part for part in path.split("/") if part]:
        if name == "..":
            os.close(fd)
            raise run.Refused(f"{path}: '..' has no place in a path")
        try:
            try:
                deeper = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=fd)
            except (NotADirectoryError, OSError) as e:
                if e.errno not in (errno.ELOOP, errno.ENOTDIR):
                    raise
                deeper = _follow(fd, walked, name, links)
        finally:
            os.close(fd)
        fd, walked = deeper, f"{walked}/{name}"
    return fd


def _follow(fd, walked, name, links):
    info = os.stat(name, dir_fd=fd, follow_symlinks=False)
    here = f"{walked}/{name}"
    if not stat.S_ISLNK(info.st_mode):
        raise NotADirectoryError(errno.ENOTDIR, "not a directory", here)
    if info.st_uid != 0 or links >= MAX_LINKS:
        raise run.Refused(f"{here} is a link that root did not make: not followed", remedy="replace it by a directory")
    return open_folder(os.path.normpath(os.path.join(walked or "/", os.readlink(name, dir_fd=fd))), links + 1)


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
