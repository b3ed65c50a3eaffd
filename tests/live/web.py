"""A browser's and an API client's way into Airflow 2's web pages, by the standard library."""

from __future__ import annotations

import base64
import http.cookiejar
import json
import re
import urllib.error
import urllib.parse
import urllib.request


class Browser:
    """Keeps cookies, fills in the login form, and returns pages."""

    def __init__(self, base):
        self.base = base
        self._open = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())).open

    def get(self, path):
        with self._open(self.base + path, timeout=30) as answer:
            return answer.geturl(), answer.read().decode()

    def login(self, username, password):
        """Return the page that a login with this password leads to."""
        _, page = self.get("/login/")
        token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', page)[1]
        form = urllib.parse.urlencode({"csrf_token": token, "username": username, "password": password}).encode()
        with self._open(self.base + "/login/", data=form, timeout=30) as answer:
            return answer.geturl()


class Api:
    """Airflow's stable REST API with a user's name and password."""

    def __init__(self, base, username, password):
        self.base = f"{base}/api/v1"
        self.head = "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()

    def ask(self, path, body=None, method=None):
        request = urllib.request.Request(
            self.base + path,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": self.head, "Content-Type": "application/json"},
            method=method,
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.loads(answer.read())
