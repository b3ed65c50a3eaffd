"""pyenv at a pinned tag, a CPython that it builds, and the distribution's own Python."""

from __future__ import annotations

import functools
import os
import sys

from airfleet.agent import git, owned, pythoncache, run

MARK = ".airfleet"
BUILD_S = 3600
MODULES = ("ssl", "sqlite3", "bz2", "lzma", "readline", "ctypes", "zlib")
IMPORTS = """\
import importlib, platform
missing = []
for name in %r:
    try:
        importlib.import_module(name)
    except ImportError:
        missing.append(name)
print(platform.python_version(), *missing)
""" % (MODULES,)
DEVELOPMENT = {
    "ssl": "libssl-dev",
    "sqlite3": "libsqlite3-dev",
    "bz2": "libbz2-dev",
    "lzma": "liblzma-dev",
    "readline": "libreadline-dev",
    "ctypes": "libffi-dev",
    "zlib": "zlib1g-dev",
}
PHASES = (
    ("Downloading", "downloading"),
    ("checking", "configuring"),
    ("gcc", "compiling (two to five minutes)"),
    ("/usr/bin/install", "installing"),
    ("Compiling '", "compiling its library"),
    ("Installed", "installed"),
)
FAILURES = (
    (
        "checksum mismatch",
        "checksum",
        "what was downloaded has another checksum than pyenv expects",
        "look at pyenv.mirror",
    ),
    (
        "failed to download",
        "unreachable",
        "the sources cannot be downloaded",
        "let this host reach www.python.org, or set pyenv.mirror to where they are by checksum",
    ),
    ("No space left on device", "room", "there is no room to build it", "make room: a build needs 1 GB"),
    ("no acceptable C compiler", "missing", "there is no C compiler", "apt-get install build-essential"),
    ("make: command not found", "missing", "there is no make", "apt-get install build-essential"),
)


def look_pyenv(root, ask):
    """Return the tag and the repository that a finished checkout left in its mark."""
    if not os.access(f"{root}/bin/pyenv", os.X_OK):
        return None, {}
    mark = owned.read_mark(f"{root}/{MARK}") or {}
    return {"tag": mark.get("tag", "unknown"), "repository": mark.get("repository", "unknown")}, {}


def make_pyenv(root, seen, want, means, tell):
    """Fetch just that tag and check it out in place: what is in `versions` stays, whatever was there before."""
    account, url, tag = means["account"], want["repository"], want["tag"]
    owned.end_strays(root)
    for lock in ("index.lock", "shallow.lock", "HEAD.lock"):
        owned.remove(f"{root}/.git/{lock}", account)

    def git_here(words, **more):
        return git.git(["-C", root, *words], account=account, url=url, env=owned.making(root), **more)

    git.git(["init", "--quiet", root], account=account)
    tell(f"fetching pyenv {tag}")
    try:
        _fetch(git_here, url, tag)
    except run.Refused as e:
        if "couldn't find remote ref" not in e.tail:
            raise
        raise run.Refused(
            f"the pyenv repository has no tag {tag}: {url}", kind="missing", remedy=_newest_tags(git_here, url)
        ) from e
    owned.remove(f"{root}/{MARK}", account)
    git_here(["checkout", "--quiet", "--force", "--detach", f"refs/tags/{tag}"])
    if not os.access(f"{root}/bin/pyenv", os.X_OK):
        raise run.Refused(f"what is at {url} is not pyenv: it has no bin/pyenv", remedy="look at pyenv.repository")
    owned.write_mark(f"{root}/{MARK}", {"tag": tag, "repository": url}, account)


def _fetch(git_here, url, tag):
    """Fetch just the tag, without its history where the server can leave that out."""
    words = ["--force", "--no-tags", "--", url, f"refs/tags/{tag}:refs/tags/{tag}"]
    try:
        git_here(["fetch", "--quiet", "--depth", "1", *words])
    except run.Refused as e:
        if "does not support shallow" not in e.tail:
            raise
        git_here(["fetch", "--quiet", *words])


def _newest_tags(git_here, url):
    text = git_here(["ls-remote", "--tags", "--refs", "--sort=-version:refname", "--", url], errors=False)
    names = [line.rsplit("refs/tags/", 1)[-1] for line in text.splitlines()[:3]]
    return f"its newest tags are {', '.join(names)}: set pyenv.tag" if names else "it has no tags at all"


def look_python(path, ask):
    """Return the version, and that its modules were imported, from the mark of a finished build."""
    mark = owned.read_mark(f"{path}/{MARK}")
    if not mark or not os.access(f"{path}/bin/python3", os.X_OK):
        return None, {}
    return {"version": mark.get("version", "unknown"), "imports": mark.get("imports", "unknown")}, {}


def make_python(path, seen, want, means, tell):
    """Let pyenv build it, or unpack what an earlier build left in the cache; then import what Airflow needs."""
    account, root, version = means["account"], means["root"], want["version"]
    definition = _definition(root, version)
    tag = (owned.read_mark(f"{root}/{MARK}") or {}).get("tag", "unknown")
    owned.end_strays(path)
    cached = pythoncache.name(means.get("cache"), path, version, tag)
    owned.remove(path, account)
    if cached and pythoncache.unpack(cached, path, account, tell):
        try:
            _verify(path, version, account)
        except run.Refused as e:
            tell(f"{cached} is of no use: {e}")
            os.unlink(cached)
            owned.remove(path, account)
        else:
            owned.write_mark(f"{path}/{MARK}", want, account)
            return {"from": cached}
    _build(path, root, version, means, tell)
    _verify(path, version, account)
    if cached:
        pythoncache.pack(cached, path, account, tell)
    owned.write_mark(f"{path}/{MARK}", want, account)
    return {"from": definition}


def _definition(root, version):
    """Return the path of pyenv's definition of this version."""
    folder = f"{root}/plugins/python-build/share/python-build"
    path = f"{folder}/{version}"
    if os.path.isfile(path):
        return path
    try:
        known = os.listdir(folder)
    except FileNotFoundError as e:
        raise run.Refused(f"there is no pyenv at {root}", kind="missing", remedy="run: fab bootstrap") from e
    minor = version.rsplit(".", 1)[0] + "."
    patches = [int(name[len(minor) :]) for name in known if name.startswith(minor) and name[len(minor) :].isdigit()]
    newest = (
        f"the newest {minor[:-1]} that it knows is {minor}{max(patches)}" if patches else f"it knows no {minor[:-1]}"
    )
    raise run.Refused(
        f"this pyenv does not know Python {version}: {newest}",
        kind="missing",
        remedy="set airflow.python to a version that it knows, or pyenv.tag to a newer pyenv",
    )


def _build(path, root, version, means, tell):
    account = means["account"]
    work = f"{root}/.airfleet-build-{version}"  # not /tmp: it may be small, or mounted so that nothing runs there
    owned.remove(work, account)
    owned.make_folder(work, account)
    env = {
        "PYENV_ROOT": root,
        "PATH": f"{root}/bin:{run.PATH}",
        "TMPDIR": work,
        "MAKE_OPTS": f"-j{os.cpu_count() or 1}",
    }
    if means.get("mirror"):
        env["PYTHON_BUILD_MIRROR_URL"] = means["mirror"]
        env["_PYTHON_BUILD_FORCE_SKIP_XZ"] = "1"  # the mirror has the .tgz, not the .tar.xz
    argv = [f"{root}/bin/pyenv", "install", "--verbose", version]
    try:
        told = functools.partial(_tell_phase, tell, version)
        run.run(argv, user=account, env=owned.making(path, env), timeout_s=BUILD_S, tell=told)
    except run.Refused as e:
        owned.remove(path, account)
        for sign, kind, what, remedy in FAILURES:
            if sign in e.tail:
                raise run.Refused(f"Python {version}: {what}", kind=kind, remedy=remedy, tail=e.tail) from e
        raise run.Refused(f"Python {version} could not be built", kind=e.kind, tail=e.tail) from e
    finally:
        owned.remove(work, account)


def _tell_phase(tell, version, line):
    """Tell what a build is at, instead of the command lines of a compiler."""
    for sign, phase in PHASES:
        if line.startswith(sign):
            tell(f"Python {version}: {phase}")
            return


def _verify(path, version, account):
    found, *missing = run.run([f"{path}/bin/python3", "-I", "-c", IMPORTS], user=account).split()
    if found != version:
        raise run.Refused(f"{path} is Python {found}, not {version}")
    if missing:
        packages = " ".join(DEVELOPMENT[name] for name in missing)
        raise run.Refused(
            f"Python {version} was built without {', '.join(missing)}",
            kind="missing",
            remedy=f"apt-get install {packages}, then run again: it is built anew",
        )


def look_system_python(path, ask):
    """Return whether the distribution's Python is of a minor version that Airflow supports: ask["minors"]."""
    if not os.access(path, os.X_OK):
        return None, {}
    version = _version(path)
    minor = ".".join(version.split(".")[:2])
    supported = "yes" if minor in ask["minors"] else f"no: it is {version}"
    return {"supported": supported}, {"version": version}


def _version(path):
    """Return a Python's version, without starting it where the agent itself runs in it."""
    if os.path.realpath(path) == os.path.realpath(sys.executable):
        return "%d.%d.%d" % sys.version_info[:3]
    return run.run([path, "-I", "-c", "import platform; print(platform.python_version())"]).strip()


def make_system_python(path, seen, want, means, tell):
    """Refuse: the distribution's Python is what it is."""
    found = f"{path} is {_version(path)}" if seen else f"there is no {path}"
    raise run.Refused(
        f"{found}; this Airflow runs on {', '.join(means['minors'])}",
        kind="unsupported",
        remedy="set airflow.python to one of these versions, such as 3.11.13: pyenv builds it",
    )
