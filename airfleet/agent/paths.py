"""Paths that lead through folders of another account: walked and read so that nothing there leads, holds or fills us.

Whoever owns a folder can put a link, a pipe, another name of somebody's file, or a file without an end where one of
ours is expected, at any moment. So folders are opened one component at a time with O_NOFOLLOW, what is to be read is
first opened by O_PATH, which waits for nothing and touches no device, and only so many bytes are taken.
"""

from __future__ import annotations

import errno
import os
import stat

from airfleet.agent import run

MAX_LINKS = 8
LIMIT = 1024 * 1024  # bytes of a file that is read whole
MOST = 200_000  # files of one tree
DEEPEST = 100
NAMING = ("path", "lock", "folder", "releases")  # the words of a request that are paths
AS_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Odd(run.Refused):
    """What is at a path is no plain file: `what` in words."""

    def __init__(self, path, what):
        super().__init__(f"{path} is {what}", remedy="look at it on that host, and who put it there")
        self.odd = what


def named(request):
    """Return the words of a request; none of its paths is a number, which would be a descriptor of ours to `open`."""
    words = request["words"]
    for name in NAMING:
        if isinstance(words.get(name), (int, float)):
            raise run.Refused(f"{name}: a number is no path", kind="usage")
    return words


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
                deeper = os.open(name, AS_FOLDER, dir_fd=fd)
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


def open_file(path, *, follow=False):
    """Return a descriptor to read the file at this path from; Odd where it is no plain file with one name.

    With `follow` also links of the account's lead to it: for what is read for one harmless word alone.
    """
    folder = None if follow else open_folder(os.path.dirname(path))
    try:
        name, how = (path, 0) if follow else (os.path.basename(path), os.O_NOFOLLOW)
        there = os.open(name, os.O_PATH | os.O_CLOEXEC | how, dir_fd=folder)
    finally:
        if folder is not None:
            os.close(folder)
    try:
        info = os.fstat(there)
        if stat.S_ISLNK(info.st_mode):
            raise Odd(path, "not a file but a link")
        if not stat.S_ISREG(info.st_mode):
            raise Odd(path, "not a regular file")
        if info.st_nlink > 1:
            raise Odd(path, f"not a file of its own but one of {info.st_nlink} names")
        return os.open(f"/proc/self/fd/{there}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    finally:
        os.close(there)


def read(path, *, follow=False, limit=LIMIT):
    """Return the text of a small file; Odd where it is none, or too long. Bytes that are no UTF-8 are replaced."""
    with os.fdopen(open_file(path, follow=follow), "rb") as f:
        content = f.read(limit + 1)
    if len(content) > limit:
        raise Odd(path, f"longer than {limit} bytes")
    return content.decode("utf-8", "replace")


def walk(path, leave_out=()):
    """Yield (its name from here on, its stat) of all that is below a folder, but nothing of what is named `leave_out`.

    No link is followed. A tree that is too deep or too large is refused.
    """
    top, pending, count = open_folder(path), [""], 0
    try:
        while pending:
            inside = pending.pop()
            fd = folder_below(top, inside)
            try:
                for name in _names(fd):
                    if name in leave_out:
                        continue
                    info = os.stat(name, dir_fd=fd, follow_symlinks=False)
                    count += 1
                    if count > MOST or inside.count("/") > DEEPEST:
                        raise run.Refused(f"{path} has more than {MOST} files, or is deeper than {DEEPEST} folders")
                    if stat.S_ISDIR(info.st_mode):
                        pending.append(f"{inside}{name}/")
                    yield inside + name, info
            finally:
                os.close(fd)
    finally:
        os.close(top)


def _names(fd):
    with os.scandir(fd) as entries:
        for entry in entries:
            yield entry.name


def folder_below(top, inside):
    """Return a descriptor of the folder that holds `inside`, a name from an open folder on; no link is followed."""
    fd = os.dup(top)
    for name in inside.split("/")[:-1]:
        try:
            deeper = os.open(name, AS_FOLDER, dir_fd=fd)
        finally:
            os.close(fd)
        fd = deeper
    return fd
