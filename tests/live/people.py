"""Users of the web pages: what describes a new one, the password that was shown, a browser in which it worked."""

from __future__ import annotations

import re
import urllib.error

from tests.live.conftest import wait_for
from tests.live.web import Browser

NAMES = ["--firstname", "길동", "--lastname", "O'Neil $(id)"]


def person(name, role="Viewer"):
    """Return the words that describe a new user."""
    return [name, "--role", role, "--email", f"{name}@example.com", *NAMES]


def shown(done):
    """Return the password that a command showed, once."""
    password = re.search(r"password: (\S+)", done.stdout)[1]
    assert done.stdout.count(password) == 1
    return password


def visit(installation, username, password):
    """Return a browser in which this login worked, or None. Airflow counts logins: one that comes too soon waits."""

    def answer():
        browser = Browser(installation.web, installation.airflow)
        try:
            page = browser.login(username, password)
        except urllib.error.HTTPError as e:
            if e.code != 429:
                raise
            return None
        return [None if "/login" in page else browser]

    return wait_for(answer, "a login that is not told to wait")[0]
