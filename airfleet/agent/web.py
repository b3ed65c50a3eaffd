"""Looks at web pages as a browser would: cookies, redirects, the login form. Never through a proxy."""

from __future__ import annotations

import base64
import http.client
import http.cookiejar
import json
import re
import urllib.error
import urllib.parse
import urllib.request

TIMEOUT_S = 10
LIMIT = 4 * 1024 * 1024
TOKEN = re.compile(rb"""<input\b[^>]*\bname=["']csrf_token["'][^>]*>""")
VALUE = re.compile(rb"""\bvalue=["']([^"']+)["']""")
ALERT = re.compile(r'class="alert[^"]*"[^>]*>(.*?)</div>', re.DOTALL)


class Wrong(Exception):
    """What is wrong, for a human; `final` where waiting changes nothing."""

    def __init__(self, what, *, final=False):
        super().__init__(what)
        self.final = final


class Site:
    """A visit to one web server, with its cookies."""

    def __init__(self, base):
        """Begin without cookies."""
        self.base = base
        # Behind a proxy its cookies are Secure; here it is asked on its own host, without one.
        policy = http.cookiejar.DefaultCookiePolicy(secure_protocols=("http", "https"))
        cookies = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar(policy))
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), cookies)

    def get(self, path, form=None):
        """Return (status, final address, content) of a page, after its redirects; with a form it is posted."""
        data = urllib.parse.urlencode(form).encode() if form else None
        headers = {"Referer": self.base + path} if form else {}
        return _open(self._opener, urllib.request.Request(self.base + path, data=data, headers=headers))

    def login_page(self, path):
        """Return the token that the login form has to be sent with."""
        status_of, _, content = self.get(path)
        if status_of != 200:
            raise Wrong(f"its login page answers {status_of}")
        found = TOKEN.search(content)
        value = VALUE.search(found.group()) if found else None
        if not value:
            raise Wrong("its login page has no form: is it Airflow?", final=False)
        return value.group(1).decode()

    def login(self, path, username, password):
        """Log in as a person does, and see a page that only who is logged in sees."""
        token = self.login_page(path)
        status_of, address, content = self.get(path, {"csrf_token": token, "username": username, "password": password})
        if status_of == 429:
            raise Wrong("too many logins in a short time: it asks to wait")
        at_login = _path(address).rstrip("/") == _path(self.base + path).rstrip("/")
        forbidden = Wrong(f"{username} can log in, but has no right to see anything", final=True)
        if status_of == 403 and not at_login:
            raise forbidden
        if status_of != 200:
            raise Wrong(f"the login of {username} is answered with {status_of}")
        if TOKEN.search(content) and at_login:
            raise Wrong(f"it refuses the login of {username}{_alert(content)}", final=True)
        status_of, address, _ = self.get("/home")
        if status_of == 403:
            raise forbidden
        if status_of != 200 or _path(address).rstrip("/").endswith(path.rstrip("/")):
            raise Wrong(f"{username} is logged in, and yet its first page answers {status_of} at {_path(address)}")

    def token_login(self, path, allowed, username, password):
        """Log in as a program does, for a token, and see with it what only who has a right may see."""
        body = json.dumps({"username": username, "password": password}).encode()
        status_of, content = self._ask(path, {"Content-Type": "application/json"}, body)
        if status_of in (400, 401):
            raise Wrong(f"it refuses the login of {username}", final=True)
        if status_of == 429:
            raise Wrong("too many logins in a short time: it asks to wait")
        try:
            token = json.loads(content)["access_token"] if status_of in (200, 201) else ""
        except (ValueError, KeyError, TypeError) as e:
            raise Wrong("its login gives no token: is it Airflow?") from e
        if not token:
            raise Wrong(f"the login of {username} is answered with {status_of}")
        status_of, _ = self._ask(allowed, {"Authorization": f"Bearer {token}"})
        if status_of == 403:
            raise Wrong(f"{username} can log in, but has no right to see anything", final=True)
        if status_of != 200:
            raise Wrong(f"{username} is logged in, and yet {allowed} answers {status_of}")

    def _ask(self, path, headers, body=None):
        request = urllib.request.Request(self.base + path, data=body)
        for name, value in headers.items():
            request.add_unredirected_header(name, value)
        status_of, _, content = _open(_plain(), request)
        return status_of, content


def health(address):
    """Return what a health page says, or raise Wrong where the page itself or what it tells is not well."""
    status_of, _, content = _open(_plain(), urllib.request.Request(address))
    if status_of != 200:
        raise Wrong(f"its health page answers {status_of}")
    try:
        told = json.loads(content)
        database = told["metadatabase"]["status"]
    except (ValueError, KeyError, TypeError) as e:
        raise Wrong("what answers is not Airflow") from e
    if database != "healthy":
        raise Wrong(f"it calls its database {database}")
    return told


def status(address, username=None, password=None):
    """Return the status with which a page answers, with a basic login or without one; redirects are not followed."""
    request = urllib.request.Request(address)
    if username:
        login = base64.b64encode(f"{username}:{password}".encode()).decode()
        request.add_unredirected_header("Authorization", f"Basic {login}")
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _Stay)
    return _open(opener, request)[0]


class _Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args, **kwargs):
        """Follow no redirect: its status is the answer."""
        return None


def _plain():
    return urllib.request.build_opener(urllib.request.ProxyHandler({}))


def _open(opener, request):
    try:
        with opener.open(request, timeout=TIMEOUT_S) as answer:
            return answer.status, answer.geturl(), answer.read(LIMIT)
    except urllib.error.HTTPError as e:
        with e:
            return e.code, e.geturl(), e.read(LIMIT)
    except urllib.error.URLError as e:
        raise Wrong(_reason(e.reason)) from e
    except (http.client.HTTPException, ConnectionError) as e:
        raise Wrong("something that is not a web server listens there") from e
    except OSError as e:
        raise Wrong(_reason(e)) from e


def _reason(error):
    if isinstance(error, ConnectionRefusedError):
        return "nothing listens there"
    if isinstance(error, TimeoutError) or "timed out" in str(error):
        return f"it does not answer within {TIMEOUT_S} s"
    return f"it cannot be reached: {error}"


def _path(address):
    return urllib.parse.urlsplit(address).path


def _alert(content):
    found = ALERT.search(content.decode("utf-8", "replace"))
    words = re.sub(r"<[^>]*>", " ", found.group(1)).replace("&times;", " ").split() if found else []
    return ": " + " ".join(words)[:120] if words else ""
