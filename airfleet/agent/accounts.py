"""Accounts of the host."""

from __future__ import annotations

import pwd

from airfleet.agent import run


def look_account(name, ask):
    """Return home and shell."""
    try:
        account = pwd.getpwnam(name)
    except KeyError:
        return None, {}
    return {"home": account.pw_dir, "shell": account.pw_shell}, {}


def make_account(name, seen, want, means, tell):
    """Make a locked system account with a home folder and a group of its own, or set its home and shell."""
    if seen is None:
        words = ["--system", "--user-group", "--create-home", "--home-dir", want["home"], "--shell", want["shell"]]
        run.run(["useradd", *words, name])
    else:
        run.run(["usermod", "--home", want["home"], "--shell", want["shell"], name])
