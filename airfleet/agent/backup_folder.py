"""The folder of backups on this host: root's alone. A backup is NAME.dump and, written last, NAME.json: its manifest.

What is being written has a name of its own that begins with a dot; what a killed try left of it goes with the next one.
"""

from __future__ import annotations

import contextlib
import glob
import hashlib
import json
import os
import pwd
import re
import stat
import time

from airfleet.agent import files, run

MODE, FOLDER_MODE = 0o600, "0700"
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*-\d{8}T\d{6}Z")
PART = ".airfleet-part"
RESERVE = 512 * 1024 * 1024  # bytes that stay free: Airflow writes its logs on the same disk
LOOK_EVERY = 64 * 1024 * 1024
CHUNK = 1024 * 1024
MIB = 1024 * 1024


def backup_list(words, tell):
    """Return {"backups": [manifests, each with "lost": what is wrong with its file], "strays": [files without one]}."""
    folder = _folder(words)
    found, strays = [], []
    for path in sorted(glob.glob(f"{glob.escape(folder)}/*.dump")):
        if not os.path.exists(path[: -len("dump")] + "json"):
            strays.append(os.path.basename(path))
    for path in sorted(glob.glob(f"{glob.escape(folder)}/*.json")):
        if NAME.fullmatch(os.path.basename(path)[: -len(".json")]):
            manifest = _read(path)
            found.append({**manifest, "lost": lost(_size(f"{folder}/{manifest['name']}.dump"), manifest)})
    return {"backups": found, "strays": strays}


def _size(path):
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return None


def lost(size, manifest):
    """Return what can be seen of a dump at a glance: that it is not there (None), or not as long as it was."""
    if size is None:
        return "the file is missing"
    return "" if size == manifest["size"] else f"the file has {size} bytes, not {manifest['size']}"


def backup_note(words, tell):
    """Write `verified` into the manifest of a backup, if that is still the one with this sha256."""
    folder = _folder(words)
    path = f"{folder}/{checked(words['name'])}.json"
    manifest = _read(path)
    if manifest["sha256"] != words["sha256"]:
        raise run.Refused(f"{path} is another one by now", kind="changed", remedy="look again: fab backup.list")
    manifest["verified"] = words["verified"]
    write_manifest(folder, manifest)
    return {}


def backup_remove(words, tell):
    """Remove the backups with these names; the manifest goes first, so that none is half there."""
    folder = _folder(words)
    for name in words["names"]:
        for path in (f"{folder}/{checked(name)}.json", f"{folder}/{name}.dump"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
    sync(folder)
    return {}


def backup_receive(words, feed, ready):
    """Take a backup that comes from the operator into a file of its own; return {"path", "sha256"}.

    `backup_clear` removes it, and so does the next one that is written.
    """
    folder, name = _folder(words), checked(words["name"])
    make_folder(folder)
    clear(folder)
    room(folder, words["size"], words.get("reserve", RESERVE))
    path = f"{folder}/.{name}{PART}"
    part = Part(path, words.get("reserve", RESERVE))
    with run.on_loss(part.remove):
        try:
            ready()
            for data in feed:
                part.write(data)
            part.close()
        except BaseException:
            part.remove()
            raise
    return {"path": path, "sha256": part.sha256}


def backup_clear(words, tell):
    """Remove what `backup_receive` took in, and whatever else was not finished."""
    clear(_folder(words))
    return {}


class Part:
    """A file that is being written: by its temporary name, for root alone, its checksum counted on the way."""

    def __init__(self, path, reserve=RESERVE):
        self.path, self.size, self._reserve = path, 0, reserve
        self._digest = hashlib.sha256()
        self._looked = 0
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)

    @property
    def sha256(self):
        """The checksum of what was written."""
        return self._digest.hexdigest()

    def write(self, data):
        """Write more, as long as the disk stays usable for the others."""
        if self.size - self._looked >= LOOK_EVERY or not self._looked:
            self._looked = self.size or 1
            free = free_bytes(os.path.dirname(self.path))
            if free < self._reserve:
                raise run.Refused(
                    f"the disk is filling up: {mib(free)} are free after {mib(self.size)} were written",
                    kind="room",
                    remedy="make room, or name another folder: backup.folder, --local",
                )
        view = memoryview(data)
        while view:
            view = view[os.write(self._fd, view) :]
        self.size += len(data)
        self._digest.update(data)

    def close(self):
        """Have all of it on the disk."""
        os.fsync(self._fd)
        os.close(self._fd)
        self._fd = None

    def keep(self, manifest):
        """Give it the name that it is found by, and write its manifest beside it."""
        self.close()
        folder = os.path.dirname(self.path)
        path = f"{folder}/{manifest['name']}.dump"
        os.rename(self.path, path)
        self.path = path
        sync(folder)
        write_manifest(folder, manifest)

    def remove(self):
        """Leave nothing of it."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path)


def make_folder(path):
    """Make the folder, for root alone, where it is not there; its parent must be: perhaps it is to be mounted."""
    me = pwd.getpwuid(os.geteuid()).pw_name
    _refuse_others(path)
    try:
        if files.look_directory(path, {})[0] is None:
            files.make_directory(path, None, {"owner": me, "group": me, "mode": FOLDER_MODE}, {}, None)
    except FileNotFoundError as e:
        raise run.Refused(
            f"{os.path.dirname(path)} is not there", remedy="make it, or mount it; backup.folder names the folder"
        ) from e


def _folder(words):
    _refuse_others(words["folder"])
    return words["folder"]


def _refuse_others(path):
    """Refuse a folder that somebody but root could write in, or lead elsewhere by whatever is above it."""
    me, here = os.geteuid(), os.path.abspath(path)
    while here != os.path.dirname(here):
        with contextlib.suppress(FileNotFoundError):
            info = os.lstat(here)
            shared = info.st_mode & 0o022 and (here == os.path.abspath(path) or not info.st_mode & stat.S_ISVTX)
            if not stat.S_ISDIR(info.st_mode) or info.st_uid not in (0, me) or shared:
                raise run.Refused(
                    f"{here} must be a directory of root's that nobody else can write in: backups are for root alone",
                    remedy=f"chown root {here} && chmod go-w {here}; or name another folder: backup.folder",
                )
        here = os.path.dirname(here)


def room(folder, needed, reserve):
    """Refuse where so many bytes would leave too little of the disk."""
    free = free_bytes(folder)
    if free - needed < reserve:
        raise run.Refused(
            f"{folder} has {mib(free)} free: the backup takes about {mib(needed)}, and {mib(reserve)} stay for Airflow",
            kind="room",
            remedy="make room, keep fewer (backup.keep), or name another folder: backup.folder, --local",
        )


def free_bytes(folder):
    """Return how much may still be written there."""
    seen = os.statvfs(folder)
    return seen.f_bavail * seen.f_frsize


def clear(folder):
    """Remove what was never finished: whoever calls this holds the installation's lock."""
    for path in glob.glob(f"{glob.escape(folder)}/.*{PART}"):
        os.unlink(path)


def write_manifest(folder, manifest):
    """Write the manifest of a backup in one step."""
    text = json.dumps(manifest, sort_keys=True, indent=1) + "\n"
    files.write(f"{folder}/{manifest['name']}.json", text, (os.geteuid(), os.getegid()), MODE)


def opened(path, manifest, tell):
    """Return the descriptor of a backup's file, having read it whole: it must be what the manifest says."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError as e:
        raise run.Refused(f"{path} is not there", kind="damaged", remedy="fab backup.list names them all") from e
    try:
        info, digest = os.fstat(fd), hashlib.sha256()
        if not stat.S_ISREG(info.st_mode) or info.st_size != manifest["size"]:
            _damaged(path, f"it has {info.st_size} bytes, and had {manifest['size']} when it was made")
        slowly = paced(tell)
        while data := os.read(fd, CHUNK):
            digest.update(data)
            slowly(f"checksum: {mib(os.lseek(fd, 0, os.SEEK_CUR))} of {mib(info.st_size)}")
        if digest.hexdigest() != manifest["sha256"]:
            _damaged(path, "its checksum is another one than when it was made")
        os.lseek(fd, 0, os.SEEK_SET)
    except BaseException:
        os.close(fd)
        raise
    return fd


def _damaged(path, what):
    raise run.Refused(f"{path} is damaged: {what}", kind="damaged", remedy="take another one: fab backup.list")


def sync(path):
    """Have the names in a folder on the disk."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def mib(size):
    """Return an amount as text."""
    return f"{size / MIB:.1f} MiB" if size < 10 * MIB else f"{size / MIB:.0f} MiB"


def paced(tell):
    """Return what tells at most once a second, however often it is called."""
    last = [time.monotonic()]

    def slowly(text):
        if time.monotonic() - last[0] >= 1:
            last[0] = time.monotonic()
            tell(text)

    return slowly


def _read(path):
    with open(path, encoding="utf-8") as f:
        return manifest_in(f.read(), path)


def manifest_in(text, path):
    """Return the manifest that a text is."""
    try:
        words = run.parsed(text)
        if f"{words['name']}.json" == os.path.basename(path) and isinstance(words["size"], int):
            return words
    except (ValueError, TypeError, KeyError):
        pass
    raise run.Refused(f"{path} is no manifest of a backup", remedy="move it away")


def checked(name):
    """Return a name, which is a backup's."""
    if not NAME.fullmatch(name):
        raise run.Refused(f"{name} is no name of a backup", kind="usage")
    return name
