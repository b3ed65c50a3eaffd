"""Accounts of the host."""

from __future__ import annotations

import grp
import pwd

from airfleet.agent import run


def look_account(name, ask):
    """Return home, shell and group; a useradd that was killed in the middle leaves an account without its group."""
    try:
        account = pwd.getpwnam(name)
    except KeyError:
        return None, {}
    try:
        group = grp.getgrgid(account.pw_gid).gr_name
    except KeyError:
        group = None
    return {"home": account.pw_dir, "shell": account.pw_shell, "group": group}, {}


def make_account(name, seen, want, means, tell):
    """Make a locked system account with a home folder and a group of its own, or set its home and shell."""
    if seen is None:
        words = ["--system", "--user-group", "--create-home", "--home-dir", want["home"], "--shell", want["shell"]]
        run.run(["useradd", *words, name])
    else:
        _make_group(want["group"], [] if seen.get("group") else ["--gid", str(pwd.getpwnam(name).pw_gid)])
        run.run(["usermod", "--gid", want["group"], "--home", want["home"], "--shell", want["shell"], name])


def _make_group(name, words):
    try:
        grp.getgrnam(name)
    except KeyError:
        run.run(["groupadd", "--system", *words, name])
