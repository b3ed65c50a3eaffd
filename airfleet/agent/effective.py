"""Which secrets the services of this host really use: those of airflow.cfg, or what a unit's environment says instead.

A drop-in or an edited environment changes one process and no file that anybody compares. So each unit's own environment
is read, and told as digests with a salt of the one who asks: equal or not, and nothing else.
"""

from __future__ import annotations

import configparser
import hashlib
import shlex
import urllib.parse

from airfleet.agent import paths, run, unitfacts

PREFIX = "AIRFLOW__"
DISK = "airflow.cfg"


def look(words):
    """Return {"digests": {where: {name: digest}}, "overrides": {unit: [variable, …]}}; units that differ are named."""
    found = values(words)
    digests = {
        where: {name: digest(words["salt"], value) for name, value in each.items()} for where, each in found.items()
    }
    return {"digests": digests, "overrides": overrides(words)}


def digest(salt, value):
    """Return a few letters by which equal values are known, and nothing else of them."""
    return hashlib.sha256(f"{salt}\0{value}".encode()).hexdigest()[:12]


def values(words):
    """Return {where: {name: value}} of the settings asked about: of the file, and of each unit that has others."""
    disk = {name: option for name, place in words["settings"].items() if (option := _option(words, place)) is not None}
    found = {DISK: disk}
    for unit, variables in _variables(words).items():
        own = dict(disk)
        for name, (section, key) in words["settings"].items():
            variable = f"{PREFIX}{section}__{key}".upper()
            if variable in variables:
                own[name] = variables[variable]
        if own != disk:
            found[unit] = own
    return found


def overrides(words):
    """Return {unit: [variable, …]}: what of Airflow's settings a process has in its environment and no file of ours."""
    ours = _environment_file(words["environment"])
    found = {}
    for unit, variables in _variables(words).items():
        names = [name for name, value in sorted(variables.items()) if ours.get(name) != value]
        if names:
            found[unit] = names
    return found


def _variables(words):
    """Return {unit: {variable: value}} of Airflow's settings in each unit's environment.

    That of the process where it still tells it: Celery, gunicorn and Airflow write their titles over it. Below it
    stands what systemd gives a process of the unit, by its file and its drop-ins.
    """
    if not words["units"]:
        return {}
    found = declared(run.run(["systemctl", "show", "--property=Environment", "--", *words["units"]]), words["units"])
    for unit, shown in unitfacts.look(words).items():
        try:
            with open(f"/proc/{shown['pid']}/environ", "rb") as f:
                pairs = f.read().decode("utf-8", "surrogateescape").split("\0")
        except OSError:
            continue  # it does not run
        found.setdefault(unit, {}).update(_settings(pairs))
    return found


def declared(text, units):
    """Return {unit: {variable: value}} of Airflow's settings from what `systemctl show` says, a paragraph a unit."""
    paragraphs = text.rstrip("\n").split("\n\n") if len(units) > 1 else [text]
    lines = [paragraph.strip().partition("Environment=")[2] for paragraph in paragraphs]
    return {unit: _settings(shlex.split(line)) for unit, line in zip(units, lines)}


def _settings(pairs):
    return dict(pair.split("=", 1) for pair in pairs if pair.startswith(PREFIX) and "=" in pair)


def _environment_file(path):
    """Return the variables of an environment file as airfleet writes it: a line for each, perhaps in quotes."""
    try:
        lines = paths.read(path).splitlines()
    except FileNotFoundError:
        return {}
    found = {}
    for line in lines:
        name, sign, value = line.partition("=")
        if sign and not name.startswith("#"):
            found[name.strip()] = value.strip().strip("'\"")
    return found


_read = {}


def _option(words, place):
    """Return a setting of airflow.cfg, `%%` undone; None where it is not there."""
    path = words["config"]
    if path not in _read:
        parser = configparser.RawConfigParser(strict=False)
        try:
            parser.read_string(paths.read(path))
        except OSError:
            return None
        except configparser.Error as e:
            raise run.Refused(f"{path} can't be read as a configuration: {type(e).__name__}") from None
        _read[path] = parser
    section, key = place
    text = _read[path].get(section, key, fallback=None)
    return None if text is None else text.replace("%%", "%")


def address(url):
    """Return {"user", "password", "host", "port", "name", "options"} of a URL of Redis or PostgreSQL."""
    parts = urllib.parse.urlsplit(url)
    return {
        "user": urllib.parse.unquote(parts.username or ""),
        "password": urllib.parse.unquote(parts.password or ""),
        "host": parts.hostname or "",
        "port": parts.port,
        "name": parts.path.lstrip("/"),
        "options": dict(urllib.parse.parse_qsl(parts.query)),
    }
