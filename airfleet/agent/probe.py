"""Is it well? Each probe asks the service itself, the way that Airflow uses it, until it is well or the time is over.

Each answers {"ok": …, "says": one line for a human, …}; a service that is not well is an answer, not an error.
"""

from __future__ import annotations

import secrets
import time

from airfleet.agent import inside, resp, run, web

POSTGRES = "inside_postgres"
CELERY = "inside_celery"
SLACK_S = 60  # for starting Python and for answers that are on their way when the time is over


def _until_well(check, words):
    """Return the first good answer, or the last one when the time is over, or one with `final`: waiting won't help."""
    answer = {}

    def ended():
        answer.clear()
        answer.update(check())
        return answer["ok"] or answer.pop("final", False)

    run.wait_until(ended, words["timeout_s"], poll_s=0.2)
    answer.pop("final", None)
    return answer


def probe_redis(words, tell):
    """Write a key that lasts five seconds and read it back: {"host", "port", "user", "password", "timeout_s"}."""
    place = f"redis at {words['host']}:{words['port']}"

    def check():
        token = secrets.token_hex(8)
        key = f"airfleet:probe:{token}"
        try:
            with resp.Redis(words["host"], words["port"]) as redis:
                if words.get("password"):
                    redis.login(words.get("user"), words["password"])
                redis.ask("SET", key, token, "EX", "5")
                back = redis.ask("GET", key)
        except resp.Wrong as e:
            return {"ok": False, "reason": e.reason, "says": f"{place} {e}", "final": e.reason in resp.FINAL}
        return {"ok": back == token, "reason": "", "says": f"{place} takes writes"}

    return _until_well(check, words)


def probe_auth_proxy(words, tell):
    """The Cloud SQL Auth Proxy says that it is ready: {"url", "timeout_s"}."""

    def check():
        try:
            status = web.status(words["url"])
        except web.Wrong as e:
            return {"ok": False, "says": f"Auth Proxy: {e}"}
        ready = status == 200
        return {"ok": ready, "says": f"Auth Proxy at {words['url']} " + ("is ready" if ready else f"says {status}")}

    return _until_well(check, words)


def probe_database(words, tell):
    """Connect anew as Airflow's own role, read and write: {"dsn", "venv", "account", "timeout_s"}."""
    answer = _postgres("writes", words)
    place = "database {host}:{port}/{name}".format(**words["dsn"])
    says = f"{place} takes writes of {words['dsn']['user']}" if answer["ok"] else f"not well: {answer['why']}"
    return {"ok": answer["ok"], "says": says}


def probe_scheduler(words, tell):
    """Wait for a fresh heartbeat of a service's job here, one that began after "since" (epoch) where that is given.

    {"service", "job_type", "dsn", "venv", "account", "timeout_s"}
    """
    answer = _postgres("heartbeat", words)
    return {"ok": answer["ok"], "says": f"{words['service']}: {answer['why']}"}


def _postgres(question, words):
    asked = {k: v for k, v in words.items() if k not in ("venv", "account")}
    timeout_s = words["timeout_s"] + SLACK_S
    return inside.ask(
        words["venv"], POSTGRES, {**asked, "question": question}, account=words["account"], timeout_s=timeout_s
    )


def probe_workers(words, tell):
    """Each worker consumes all its queues, and its pool really runs a task.

    {"venv", "account", "timeout_s"}, with "nodes": {"worker1@af1": [queues], …} or "instances" and "queues" for
    this host; and the broker from "config", the path of airflow.cfg, or as "broker" and "backend".
    """
    asked = {k: v for k, v in words.items() if k not in ("venv", "account")}
    timeout_s = words["timeout_s"] + SLACK_S
    answer = inside.ask(words["venv"], CELERY, asked, account=words["account"], timeout_s=timeout_s, tell=tell)
    nodes = answer["nodes"]
    says = "; ".join(f"{name} {node['says']}" for name, node in sorted(nodes.items()))
    return {"ok": all(node["ok"] for node in nodes.values()), "says": says, "nodes": nodes}


def probe_web(words, tell):
    """The web answers, its health is good, its login page is there, and with a user and a password a login works.

    {"base", "health_path", "login_path", "timeout_s"}, and "username" and "password" or not. With "token_path" a
    program logs in there, and then sees "allowed_path"; without it a person does, by the form.
    """

    def check():
        try:
            web.health(words["base"] + words["health_path"])
            site = web.Site(words["base"])
            if not words.get("username"):
                site.login_page(words["login_path"])
                return {"ok": True, "says": f"web at {words['base']}: healthy, shows its login page"}
            if words.get("token_path"):
                site.token_login(words["token_path"], words["allowed_path"], words["username"], words["password"])
            else:
                site.login(words["login_path"], words["username"], words["password"])
        except web.Wrong as e:
            return {"ok": False, "says": f"web at {words['base']}: {e}", "final": e.final}
        return {"ok": True, "says": f"web at {words['base']}: healthy, {words['username']} can log in"}

    return _until_well(check, words)


def probe_api(words, tell):
    """The API server answers where the tasks of this host look for it: {"url", "timeout_s"}."""

    def check():
        try:
            status = web.status(words["url"])
        except web.Wrong as e:
            return {"ok": False, "says": f"tasks can't reach the API server at {words['url']}: {e}"}
        return {"ok": status == 200, "says": f"tasks reach the API server ({words['url']} answers {status})"}

    return _until_well(check, words)


def probe_flower(words, tell):
    """Flower lets nobody in without its login, and in with it: {"url", "username", "password", "timeout_s"}."""

    def check():
        try:
            alone = web.status(words["url"])
            known = web.status(words["url"], words["username"], words["password"])
        except web.Wrong as e:
            return {"ok": False, "says": f"flower at {words['url']}: {e}"}
        if alone == 200:
            return {"ok": False, "says": f"flower at {words['url']} lets anybody in", "final": True}
        if (alone, known) == (401, 200):
            return {"ok": True, "says": f"flower at {words['url']}: answers, behind its login"}
        if known == 401:
            return {"ok": False, "says": f"flower at {words['url']} refuses its login", "final": True}
        return {"ok": False, "says": f"flower at {words['url']} answers {alone} without and {known} with its login"}

    began = time.monotonic()
    answer = _until_well(check, words)
    answer["seconds"] = round(time.monotonic() - began, 1)
    return answer
