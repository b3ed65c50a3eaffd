"""uv, and virtual environments that uv fills: each named by what was asked for, marked with what then was in it."""

from __future__ import annotations

import os
import re

from airfleet.agent import inside, owned, run, uv

MARK = ".airfleet.json"
AS_INSTALLED = "as installed"
NAMED_LIMIT = 6


def look_uv(path, ask):
    """Return the version of uv, from the mark of a finished installation."""
    mark = owned.read_mark(f"{path}/{MARK}")
    if not mark or not os.access(f"{path}/bin/uv", os.X_OK):
        return None, {}
    return {"version": mark.get("version", "unknown")}, {}


def make_uv(path, seen, want, means, tell):
    """Install uv into an environment of root's own, by the host's pip and from the host's registry."""
    python = means.get("python", "/usr/bin/python3")
    owned.end_strays(path)
    owned.remove(path, "root")
    owned.make_folder(os.path.dirname(path), "root")
    try:
        run.run([python, "-m", "venv", path], env=owned.making(path))
    except run.Refused as e:
        if "ensurepip" not in e.tail:
            raise
        raise run.Refused(
            f"{python} cannot make virtual environments",
            kind="missing",
            remedy="apt-get install python3-venv",
            tail=e.tail,
        ) from e
    argv = [f"{path}/bin/python", "-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--quiet"]
    tell(f"installing uv {want['version']}")
    try:
        run.run([*argv, f"uv=={want['version']}"], env=owned.making(path, uv.pip_environment()), tell=tell)
    except run.Refused as e:
        owned.remove(path, "root")
        raise uv.named_pip(e, want["version"]) from e
    owned.write_mark(f"{path}/{MARK}", want, "root")


def look_venv(path, ask):
    """Return the digest that it was made from, and whether its packages are those that were installed then."""
    mark = owned.read_mark(f"{path}/{MARK}", digest=str, packages=list)
    if not mark:
        return None, ({"why": "an earlier try did not end"} if os.path.lexists(path) else {})
    state = {"digest": mark["digest"], "packages": AS_INSTALLED}
    if not inside.there(path):
        state["packages"] = "its Python is gone"
        return state, {}
    try:
        now = _packages(path)
    except (OSError, run.Refused):
        state["packages"] = "gone"
        return state, {}
    installed = set(map(str, mark["packages"]))
    if now != installed:
        state["packages"] = "changed by hand: " + _difference(installed, now)
    return state, {"count": len(now)}


def make_venv(path, seen, want, means, tell):
    """Put back what was changed by hand; or make it anew, check it, and mark it last."""
    account = means["account"]
    owned.end_strays(path)
    work = os.path.join(os.path.dirname(path), ".airfleet-" + os.path.basename(path))
    owned.remove(work, account)
    owned.make_folder(work, account)
    try:
        programs = uv.Uv(means["uv"], account, path, work, means.get("cache"), tell)
        if seen and seen["digest"] == want["digest"] and inside.there(path) and _put_back(path, programs, means, tell):
            return {"how": "put back"}
        return _make(path, programs, want, means)
    finally:
        owned.remove(work, account)


def _make(path, programs, want, means):
    account = means["account"]
    owned.remove(path, account)
    try:
        programs.make(means["python"])
        minor, digests = inside.minor_of(path), means.get("digests", False)
        programs.install(means["requirements"], means.get("constraints"), minor, digests)
        programs.check()
        packages = _packages(path)
        _guard(packages, means.get("refuse", []))
        compiled = _compile(path, account, programs.tell)
        owned.write_mark(f"{path}/{MARK}", {"digest": want["digest"], "packages": sorted(packages)}, account)
    except BaseException:
        owned.remove(path, account)
        raise
    return {"how": "made", "packages": len(packages), **compiled}


def _compile(path, account, tell):
    """Compile all packages; return {"taken": how many files another environment had compiled already}."""
    tell("compiling")
    words = {"venv": path, "site": inside.site_packages(path), "mark": MARK}
    more = {"env": owned.making(path), "timeout_s": uv.INSTALL_S, "tell": tell}
    return inside.ask(path, "inside_compile", words, account=account, **more)


def _put_back(path, programs, means, tell):
    """Bring the packages back to what the mark says, in place: services run from here. Return whether that was done."""
    mark = owned.read_mark(f"{path}/{MARK}", packages=list) or {"packages": []}
    try:
        now, installed = _packages(path), set(map(str, mark["packages"]))
        owned.take_back(path, programs.account)
        constraints = means["constraints"] if means.get("digests") else None
        programs.put_back(sorted(now - installed), sorted(installed - now), constraints, inside.minor_of(path))
        return _packages(path) == installed
    except (OSError, run.Refused) as e:
        tell(f"cannot be put back ({e}): making it anew")
        return False


def _packages(path):
    """Return {"name-version", …} of all that is installed, by the names of the folders that installers leave."""
    names = os.listdir(inside.site_packages(path))
    return {name[: -len(".dist-info")].lower() for name in names if name.endswith(".dist-info")}


def _difference(installed, now):
    words = [f"+{name}" for name in sorted(now - installed)] + [f"-{name}" for name in sorted(installed - now)]
    more = f" and {len(words) - NAMED_LIMIT} more" if len(words) > NAMED_LIMIT else ""
    return " ".join(words[:NAMED_LIMIT]) + more


def _guard(packages, refuse):
    """Refuse versions that install well and are known to be broken: [[package, at least, below, why], …]."""
    versions = dict(name.rsplit("-", 1) for name in packages)
    for package, at_least, below, why in refuse:
        version = versions.get(re.sub(r"[-_.]+", "_", package).lower())
        if version and _numbers(at_least) <= _numbers(version) < _numbers(below):
            raise run.Refused(
                f"{package} {version} is known to break this Airflow: {why}",
                kind="packages",
                remedy=f"choose constraints or requirements with {package} below {at_least}, or {below} and above",
            )


def _numbers(version):
    """Return the release numbers of a version without trailing zeros, so that 3.16 equals 3.16.0."""
    numbers = [int(n) for n in re.match(r"\d+(\.\d+)*", version).group().split(".")]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return numbers


def catalogue(words, tell):
    """Return every setting that the Airflow in words["venv"] knows, as its own Python reads it."""
    return inside.ask(words["venv"], "catalogue", {}, account=words["account"])
