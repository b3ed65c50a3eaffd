"""Runs uv as the account, with the host's own registry and authorities, and says in words why it failed."""

from __future__ import annotations

import configparser
import json
import os
import re

from airfleet.agent import owned, paths, run

AUTHORITIES = "/etc/ssl/certs/ca-certificates.crt"
PIP_CONFIGS = ("/etc/pip.conf", "/etc/xdg/pip/pip.conf")
UV_CONFIGS = ("/etc/uv/uv.toml", "/etc/xdg/uv/uv.toml")
INSTALL_S = 1800
FAILURES = (
    # Signs in what uv printed, kind, what it means, what to do. The first that fits counts.
    (
        r"Hash mismatch",
        "packages",
        "a package is not the one whose digest the constraints have",
        "read the lines above: find out who changed it; if it is meant: fab inventory.constraints --write",
    ),
    (
        r"`--require-hashes` mode|no trusted hash was provided",
        "packages",
        "the constraints have digests, and a requirement has none there, or no version",
        "write it as NAME==VERSION, and have fab inventory.constraints --write take it in",
    ),
    (
        r"No space left on device|os error 28",
        "room",
        "there is no room for the packages",
        "make room: Airflow needs 2 GB",
    ),
    (
        r"invalid peer certificate|UnknownIssuer|certificate verify",
        "certificate",
        "the registry's certificate is not trusted",
        "add its authority to this host: /usr/local/share/ca-certificates and update-ca-certificates",
    ),
    (
        r"dns error|failed to lookup|tcp connect error|[Cc]onnection refused|timed out|error sending request"
        r"|Network is unreachable",
        "unreachable",
        "the registry cannot be reached: {address}",
        "let this host reach it, or name another one in /etc/uv/uv.toml or /etc/pip.conf",
    ),
    (r"\b40[13]\b", "login", "the registry wants a login: {address}", "put it into /etc/uv/uv.toml"),
    (
        r"No solution found|were not found in the package registry|no version of|[Cc]onflict",
        "packages",
        "no set of packages satisfies the requirements under the constraints",
        "read the lines above: change airflow.requirements, airflow.extras or airflow.constraints",
    ),
    (
        r"Failed to build|Build backend|build backend|gcc|compiler",
        "packages",
        "a package could not be built on this host",
        "read the lines above: it needs a compiler or a -dev package, or another version has a wheel",
    ),
)


class Uv:
    """One virtual environment and the uv that fills it. `work` is a folder of the account's for what uv has to read."""

    def __init__(self, program, account, path, work, cache, tell):
        """Remember the words; find out where downloaded packages are kept."""
        self.program, self.account, self.path, self.work, self.tell = program, account, path, work, tell
        self.env = self._environment(cache)

    def make(self, python):
        """Make the empty environment."""
        self._run(["venv", "--quiet", "--no-project", "--python", python, self.path])

    def install(self, requirements, constraints, minor, digests=False):
        """Install the requirements; `constraints` is {"text"}, {"texts": {minor: …}}, {"url"} or None.

        With `digests` nothing is installed whose digest is not in them.
        """
        owned.write(f"{self.work}/requirements.txt", "\n".join(requirements) + "\n", self.account)
        argv = ["pip", "install", "-r", f"{self.work}/requirements.txt"]
        url = ""
        if constraints and "url" in constraints:
            url = constraints["url"].replace("{python}", minor)
            argv += ["-c", url]
        elif constraints:
            argv += self._under(constraints, minor, digests)
        try:
            self._run([*argv, "--python", f"{self.path}/bin/python"])
        except run.Refused as e:
            if url and url in e.tail:
                raise _constraints(e, url) from e
            raise

    def put_back(self, extra, missing, constraints, minor):
        """Remove the extra packages and install the missing ones; both are lists of "name-version".

        `constraints` are those that have the digests of all packages, or None.
        """
        python = ["--python", f"{self.path}/bin/python"]
        if extra:
            self._run(["pip", "uninstall", "--quiet", *python, *[name.rsplit("-", 1)[0] for name in extra]])
        if missing:
            exact = ["==".join(name.rsplit("-", 1)) for name in missing]
            under = self._under(constraints, minor, digests=True) if constraints else []
            self._run(["pip", "install", "--no-deps", "--compile-bytecode", *python, *under, *exact])

    def check(self):
        """Refuse an environment whose packages contradict each other."""
        argv = [self.program, "pip", "check", "--python", f"{self.path}/bin/python"]
        try:
            run.run(argv, user=self.account, env=self.env)
        except run.Refused as e:
            lines = [line for line in e.tail.splitlines() if line.startswith("The package")]
            raise run.Refused(
                "the packages contradict each other: " + "; ".join(lines[:3] or [str(e)]),
                kind="packages",
                remedy="change airflow.requirements or airflow.constraints",
                tail=e.tail,
            ) from e

    def _under(self, constraints, minor, digests):
        text = constraints["text"] if "text" in constraints else _of_minor(constraints["texts"], minor)
        owned.write(f"{self.work}/constraints.txt", text, self.account)
        return ["-c", f"{self.work}/constraints.txt", *(["--require-hashes"] if digests else [])]

    def _run(self, words):
        try:
            env = owned.making(self.path, self.env)
            return run.run([self.program, *words], user=self.account, env=env, timeout_s=INSTALL_S, tell=self.tell)
        except run.Refused as e:
            raise named(e) from e

    def _environment(self, cache):
        home = run.account_of(self.account).pw_dir
        # UV_SYSTEM_CERTS is the newer name; each uv passes over the one that it does not know.
        env = {"UV_SYSTEM_CERTS": "1", "UV_NATIVE_TLS": "1", "UV_PYTHON_DOWNLOADS": "never", "UV_NO_PROGRESS": "1"}
        env["UV_CACHE_DIR"] = cache or f"{home}/.cache/uv"
        if cache:
            self._usable(cache)
            if os.stat(cache).st_dev != os.stat(_nearest(self.path)).st_dev:
                env["UV_LINK_MODE"] = "copy"
        config = self._config(home)
        if config:
            env["UV_CONFIG_FILE"] = config
        return env

    def _usable(self, cache):
        if not os.path.isdir(cache):
            account = run.account_of(self.account)
            os.makedirs(cache, mode=0o755)
            folder = paths.open_folder(cache)  # what the account may have put there meanwhile is not given away
            try:
                os.fchown(folder, account.pw_uid, account.pw_gid)
            finally:
                os.close(folder)
        try:
            run.run(["test", "-w", cache], user=self.account)
        except run.Refused as e:
            raise run.Refused(
                f"the folder for downloaded packages, {cache}, cannot be written by {self.account}",
                remedy=f"chown -R {self.account}: {cache}, or leave airflow.uv_cache out",
            ) from e

    def _config(self, home):
        """Write pip's registry in uv's words, where the host names one for pip alone; mode 0600, for its login."""
        if any(map(os.path.exists, (*UV_CONFIGS, f"{home}/.config/uv/uv.toml"))):
            return None
        text = from_pip(*PIP_CONFIGS)
        if not text:
            return None
        owned.write(f"{self.work}/uv.toml", text, self.account, mode=0o600)
        return f"{self.work}/uv.toml"


def from_pip(*paths):
    """Return the registry that these configurations of pip name, in the words of a uv.toml; "" when they name none."""
    parser = configparser.RawConfigParser(strict=False)
    try:
        parser.read(paths)
    except configparser.Error:
        return ""  # pip would complain of it too; uv's default registry may still do
    section = dict(parser["global"]) if parser.has_section("global") else {}
    lines = []
    if section.get("index-url"):
        lines.append("index-url = " + json.dumps(section["index-url"]))
    for key in ("extra-index-url", "find-links"):
        if section.get(key):
            lines.append(f"{key} = {json.dumps(section[key].split())}")
    return "\n".join(lines) + "\n" if lines else ""


def pip_environment():
    """Return an environment in which pip trusts the host's authorities, where pip's configuration names none."""
    for path in PIP_CONFIGS:
        try:
            with open(path) as f:
                if re.search(r"^\s*cert\s*=", f.read(), re.MULTILINE):
                    return {}
        except FileNotFoundError:
            continue
    return {"PIP_CERT": AUTHORITIES} if os.path.exists(AUTHORITIES) else {}


def named_pip(error, version):
    """Return the refusal for a failed `pip install uv`."""
    if "No matching distribution" in error.tail and "NewConnectionError" not in error.tail:
        what, remedy = f"the registry has no uv {version}", "name another registry in /etc/pip.conf"
        return run.Refused(what, kind="packages", remedy=remedy, tail=error.tail)
    if re.search(r"NewConnectionError|Max retries|timed out|Temporary failure in name resolution", error.tail):
        what, remedy = "the registry cannot be reached", "let this host reach it, or name another one in /etc/pip.conf"
        return run.Refused(what, kind="unreachable", remedy=remedy, tail=error.tail)
    return named(error)


def named(error):
    """Return the refusal for a failed run of uv: why, in one sentence, and what to do."""
    for signs, kind, what, remedy in FAILURES:
        if re.search(signs, error.tail):
            address = re.search(r"https?://[^\s`)]+", error.tail)
            what = what.format(address=_without_login(address.group()) if address else "see below")
            return run.Refused(what, kind=kind, remedy=remedy, tail=_without_login(error.tail))
    return run.Refused(str(error), kind=error.kind, tail=_without_login(error.tail))


def _of_minor(texts, minor):
    if minor in texts:
        return texts[minor]
    raise run.Refused(
        f"there are no constraints for this host's Python {minor}, only for {', '.join(sorted(texts))}",
        remedy="add such a file beside the others (airflow.constraints), or let pyenv build a Python: airflow.python",
    )


def _constraints(error, url):
    missing = not re.search(r"[Cc]aused? ?(by)?:", error.tail)  # of a page that is not there, uv says no more than that
    return run.Refused(
        f"there are no constraints at {url}" if missing else f"the constraints cannot be fetched from {url}",
        kind="missing" if missing else "unreachable",
        remedy="set airflow.constraints to an address that this host reaches, or to a file beside the inventory",
        tail=error.tail,
    )


def _without_login(text):
    return re.sub(r"(https?://)[^/@\s]*@", r"\1", text)


def _nearest(path):
    path = os.path.abspath(path)
    while not os.path.exists(path):
        path = os.path.dirname(path)
    return path
