"""A browser's and an API client's way into Airflow's web pages, by the standard library; both generations."""

from __future__ import annotations

import base64
import http.cookiejar
import json
import re
import time
import urllib.error
import urllib.parse
import urllib.request

TOKEN_S = 1800
ANSWER_S = 120  # of a computer that runs two installations and a ledger beside


class Browser:
    """Keeps cookies, fills in the login form, and returns pages."""

    def __init__(self, base, airflow):
        self.base = base
        self._login, self._list = ("/login/", "/home") if airflow.startswith("2") else ("/auth/login/", "/api/v2/dags")
        self._open = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())).open

    def get(self, path):
        with self._open(self.base + path, timeout=ANSWER_S) as answer:
            return answer.geturl(), answer.read().decode()

    def login(self, username, password):
        """Return the page that a login with this password leads to; it has `/login` in it where that is refused."""
        _, page = self.get(self._login)
        token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', page)[1]
        form = urllib.parse.urlencode({"csrf_token": token, "username": username, "password": password}).encode()
        with self._open(self.base + self._login, data=form, timeout=ANSWER_S) as answer:
            return answer.geturl()

    def dags(self):
        """Return what who is logged in sees of the DAGs: the page, or the answer that the page is made from.

        An HTTPError, or the login page, for who is not.
        """
        return self.get(self._list)[1]


class Api:
    """Airflow's stable REST API with a user's name and password."""

    def __init__(self, base, username, password, airflow):
        self.base = base
        self.login = {"username": username, "password": password}
        self.three = not airflow.startswith("2")
        self._token, self._until = "", 0.0

    def ask(self, path, body=None, method=None):
        return self._ask(("/api/v2" if self.three else "/api/v1") + path, body, method, self._head())

    def trigger(self, dag, conf=None, **more):
        """Start a run and return its name."""
        when = {"logical_date": None} if self.three else {}
        return self.ask(f"/dags/{dag}/dagRuns", {"conf": conf or {}, **when, **more})["dag_run_id"]

    def forget(self):
        """Log in anew: tokens that were signed with another secret are worth nothing."""
        self._until = 0.0

    def _head(self):
        if not self.three:
            return "Basic " + base64.b64encode(":".join(self.login.values()).encode()).decode()
        if time.monotonic() > self._until:
            self._token = self._ask("/auth/token", self.login, None, "")["access_token"]
            self._until = time.monotonic() + TOKEN_S
        return f"Bearer {self._token}"

    def _ask(self, path, body, method, authorization):
        request = urllib.request.Request(
            self.base + path,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json", **({"Authorization": authorization} if authorization else {})},
            method=method,
        )
        with urllib.request.urlopen(request, timeout=ANSWER_S) as answer:
            return json.loads(answer.read())
