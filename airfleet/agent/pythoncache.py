"""Keeps built Pythons in a folder of the host, each under a name that says all that its bytes depend on."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess

from airfleet.agent import files, owned, run


def name(folder, path, version, tag):
    """Return where a Python of this version, built for this path by pyenv of this tag, is kept on such a host."""
    if not folder:
        return None
    words = (path, version, tag, platform.machine(), *_release())
    digest = hashlib.sha256("\0".join(words).encode()).hexdigest()[:16]
    return f"{folder}/python-{version}-{digest}.tar"


def _release():
    """Return the distribution's name and version."""
    words = {}
    try:
        with open("/etc/os-release") as f:
            for line in f:
                key, _, value = line.strip().partition("=")
                words[key] = value.strip('"')
    except FileNotFoundError:
        pass  # then the machine and the path alone tell one tree from another
    return words.get("ID", ""), words.get("VERSION_ID", "")


def unpack(cached, path, account, tell):
    """Unpack it beside its place and rename; return whether there was one that could be unpacked."""
    if not os.path.isfile(cached):
        return False
    tell(f"unpacking {cached}")
    beside = os.path.join(os.path.dirname(path), ".airfleet-" + os.path.basename(path))
    owned.remove(beside, account)
    owned.make_folder(beside, account)
    try:
        run.run(["tar", "-xf", cached, "-C", beside, "--no-same-owner"], user=account, env=owned.making(path))
        owned.rename(f"{beside}/{os.path.basename(path)}", path, account)
    except run.Refused as e:
        tell(f"{cached} cannot be unpacked ({e}): building instead")
        return False
    finally:
        owned.remove(beside, account)
    return True


def pack(cached, path, account, tell):
    """Keep the tree; a cache that cannot be written costs a word, not the build."""
    folder = os.path.dirname(cached)
    argv = ["tar", "-c", "-C", os.path.dirname(path), os.path.basename(path)]
    try:
        os.makedirs(folder, mode=0o755, exist_ok=True)
        with files.replacing(cached, os.getuid(), os.getgid(), 0o644) as f:
            child = run.started(argv, user=account, stdin=subprocess.DEVNULL, stdout=f, stderr=subprocess.DEVNULL)
            try:
                status = child.wait()
            finally:
                run.ended(child)
            if status:
                raise run.Refused(f"tar ended with {status}")
    except (OSError, run.Refused) as e:
        tell(f"the built Python is not kept in {folder}: {e}")
