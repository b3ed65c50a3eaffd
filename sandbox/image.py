"""Images: a Debian as bare as a cloud VM's, and one with what `svc` serves; each named by its recipe's digest.

An image is built in a folder whose name says so and renamed at the end: what has an image's name is whole.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sandbox.aptsources import Mirror, make_apt_settings, make_sources, read_mirror
from sandbox.command import run
from sandbox.computer import authorities
from sandbox.site import SVC, Site, check_release

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

EDITION = 1  # count up when the code below changes what an image holds
BARE = [
    "systemd",
    "systemd-sysv",
    "dbus",
    "openssh-server",
    "sudo",
    "python3",
    "iproute2",
    "ca-certificates",
    "curl",
    "procps",
    "netbase",
]
SERVED = ["postgresql", "git"]
GIT_UID = 990
QUIET = ["apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer", "fstrim.timer"]
ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LANG": "C.UTF-8",
    "HOME": "/root",
    "DEBIAN_FRONTEND": "noninteractive",
}
PROXIES = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")


def contained(root: Path, argv: list[str]) -> list[str]:
    """The command line that runs `argv` in the image: its mounts and processes end with it, and it with us."""
    own = [
        "setpriv",
        "--pdeathsig",
        "KILL",
        "unshare",
        "--mount",
        "--propagation",
        "private",
        "--pid",
        "--fork",
        "--kill-child",
    ]
    return [*own, f"--mount-proc={root}/proc", "chroot", str(root), *argv]


def inside(root: Path, *argv: str, stdin: str = "") -> None:
    """Run a command in the image."""
    run(contained(root, list(argv)), env={**ENVIRONMENT, **_proxies()}, stdin=stdin)


def certificate_settings() -> dict[str, str]:
    """The files that make pip and uv trust the system's store; none when this computer has no authority of its own."""
    if not authorities():
        return {}
    store = "/etc/ssl/certs/ca-certificates.crt"
    return {"etc/pip.conf": f"[global]\ncert = {store}\n", "etc/uv/uv.toml": "system-certs = true\n"}


def settings(release: str, mirror: Mirror) -> dict[str, str]:
    """Path -> content of the small files of a bare image."""
    apt = make_apt_settings(run(["apt-config", "dump"], check=False).stdout) if shutil.which("apt-config") else ""
    environment = "".join(f"{name}={value}\n" for name, value in _proxies().items())
    return {
        "etc/apt/sources.list.d/debian.sources": make_sources(mirror, release),
        "etc/apt/apt.conf.d/99computer": apt,
        "etc/default/locale": "LANG=C.UTF-8\n",
        "etc/environment": environment,
        "etc/sudoers.d/ops": "ops ALL=(ALL) NOPASSWD: ALL\n",
        **certificate_settings(),
        **{f"usr/local/share/ca-certificates/{path.name}": path.read_text() for path in authorities()},
    }


def recipe_digest(*parts: object) -> str:
    """Twelve characters that change when anything that goes into the image does."""
    return hashlib.sha256(json.dumps([EDITION, *parts], sort_keys=True).encode()).hexdigest()[:12]


def bare_image(site: Site, release: str, *, say: Callable[[str], None]) -> Path:
    """The bare image of a Debian release, built when it is not there yet (about a minute and a half)."""
    check_release(release)
    mirror = read_mirror()
    files = settings(release, mirror)
    name = f"{release}-{recipe_digest(release, BARE, files, QUIET)}"

    def build(root: Path) -> None:
        say(f"building the {release} image from {mirror.debian}: a minute or two, once")
        words = ["debootstrap", "--variant=minbase", f"--include={','.join(BARE)}", release, str(root), mirror.debian]
        own = contained(root, [])
        alone = own[: own.index("chroot") - 1]
        run([*alone, *words], env={**ENVIRONMENT, **_proxies()})
        (root / "etc/apt/sources.list").unlink(missing_ok=True)
        for path, content in files.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(content)
        (root / "etc/sudoers.d/ops").chmod(0o440)
        inside(root, "update-ca-certificates")
        inside(root, "useradd", "--create-home", "--shell", "/bin/bash", "ops")
        inside(root, "apt-get", "update")
        inside(root, "apt-get", "-y", "upgrade")
        inside(root, "apt-get", "clean")
        inside(root, "systemctl", "enable", "systemd-networkd")
        inside(root, "systemctl", "mask", *QUIET)
        for key in (root / "etc/ssh").glob("ssh_host_*"):
            key.unlink()

    return _cached(site, name, build)


def served_image(site: Site, *, say: Callable[[str], None]) -> Path:
    """The image of the machine `svc`: a bare bookworm with PostgreSQL and git."""
    below = bare_image(site, "bookworm", say=say)
    name = f"{SVC}-{recipe_digest(below.name, SERVED, GIT_UID)}"

    def build(root: Path) -> None:
        say("building the image of svc: PostgreSQL and git on bookworm, once")
        run(["cp", "-a", "--reflink=auto", f"{below}/.", root])
        guard = root / "usr/sbin/policy-rc.d"
        guard.write_text("#!/bin/sh\nexit 101\n")  # no service is started while it is installed
        guard.chmod(0o755)
        inside(root, "apt-get", "-y", "--no-install-recommends", "install", *SERVED)
        inside(root, "apt-get", "clean")
        guard.unlink()
        shell, home = "/usr/bin/git-shell", "/srv/git"
        inside(
            root,
            "useradd",
            "--system",
            "--uid",
            str(GIT_UID),
            "--home-dir",
            home,
            "--create-home",
            "--shell",
            shell,
            "git",
        )

    return _cached(site, name, build)


def remove_unfinished(site: Site) -> None:
    """Remove what a build that was cut off left behind."""
    if site.images.is_dir():
        with _lock(site):
            _remove_unfinished(site)


def _remove_unfinished(site: Site) -> None:
    for path in site.images.glob(".building-*"):
        shutil.rmtree(path)


def _cached(site: Site, name: str, build: Callable[[Path], None]) -> Path:
    image = site.images / name
    if image.is_dir():
        return image
    site.images.mkdir(parents=True, exist_ok=True)
    with _lock(site):
        if image.is_dir():  # another `up` has built it while we waited
            return image
        _remove_unfinished(site)
        root = site.images / f".building-{name}"
        (root / "proc").mkdir(parents=True)
        root.chmod(0o755)
        build(root)
        os.sync()
        root.rename(image)
    return image


@contextmanager
def _lock(site: Site) -> Iterator[None]:
    fd = os.open(site.images / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def _proxies() -> dict[str, str]:
    return {name: os.environ[name] for name in PROXIES if name in os.environ}
