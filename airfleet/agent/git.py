"""Runs git as an account: never a prompt, never a helper of a strange protocol, and each failure in its own words."""

from __future__ import annotations

import os
import shlex

from airfleet.agent import run

FULL_MB = 1
PROTOCOLS = "file:git:http:https:ssh"
SSH = ("ssh", "-o", "BatchMode=yes", "-o", "ConnectTimeout=15", "-o", "ServerAliveInterval=15")
FAILURES = (
    # Words of git and ssh (both run with LANG=C.UTF-8), kind, what it means, what to do. The first that fits counts.
    (
        ("REMOTE HOST IDENTIFICATION HAS CHANGED", "host key is known for", "Host key verification failed"),
        "hostkey",
        "the git server's host key is not one that is trusted: {url}",
        "compare it with what the server's owner says, then put it into dags.known_hosts",
    ),
    (
        ("Permission denied (", "Too many authentication failures", "Load key "),
        "login",
        "the git server refused the deploy key: {url}",
        "add the deploy key's public half to the repository, and look at the secret deploy_key",
    ),
    (
        ("Authentication failed", "could not read Username", "could not read Password", "error: 401", "error: 403"),
        "login",
        "the git server wants a login: {url}",
        "use an ssh address with a deploy key",
    ),
    (
        ("Could not resolve host", "Connection refused", "timed out", "No route to host", "Network is unreachable")
        + ("Failed to connect", "Connection reset", "Connection closed by", "Couldn't connect"),
        "unreachable",
        "the git server cannot be reached: {url}",
        "look at the address, the network and the firewall between this host and the git server",
    ),
    (
        ("certificate", "SSL"),
        "certificate",
        "the git server's certificate is not trusted: {url}",
        "add its authority to this host: /usr/local/share/ca-certificates and update-ca-certificates",
    ),
    (("No space left on device",), "room", "no room for what git fetched from {url}", "make room on this host"),
    (
        ("dubious ownership",),
        "login",
        "the repository belongs to another account, so git does not read it: {url}",
        "serve it over ssh or http, or let it belong to the account",
    ),
    (
        ("does not appear to be a git repository", "epository not found", "not found", "does not exist", "error: 404"),
        "missing",
        "there is no repository at {url}",
        "look at the address; a private one may need a deploy key",
    ),
)


def git(words, *, account, url="", ssh=None, env=None, timeout_s=900, tell=None, ok=(0,), errors=True, cwd="/"):
    """Run `git` with these words as the account and return what it printed; `url` is for the message of a failure.

    `ssh` is {"key": path or null, "known_hosts": path or null}.
    """
    environment = {"GIT_TERMINAL_PROMPT": "0", "GIT_ALLOW_PROTOCOL": PROTOCOLS, "GIT_SSH_COMMAND": _ssh(ssh or {})}
    environment.update(env or {})
    try:
        return run.run(
            ["git", *words],
            user=account,
            env=environment,
            timeout_s=timeout_s,
            tell=tell,
            ok=ok,
            errors=errors,
            cwd=cwd,
        )
    except run.Refused as e:
        raise _named(e, url) from e


def _ssh(ssh):
    words = list(SSH)
    if ssh.get("key"):
        words += ["-o", "IdentitiesOnly=yes", "-i", ssh["key"]]
    words += ["-o", "StrictHostKeyChecking=yes"]
    if ssh.get("known_hosts"):
        words += ["-o", "UserKnownHostsFile=" + ssh["known_hosts"]]
    return shlex.join(words)


def _named(error, url):
    for signs, kind, what, remedy in FAILURES:
        if url and any(sign in error.tail for sign in signs):
            return run.Refused(what.format(url=url), kind=kind, remedy=remedy, tail=error.tail)
    return error


def no_room(folder, error):
    """Return the error, or what is behind it: git does not always say that the disk is full."""
    free_mb = os.statvfs(folder).f_bavail * os.statvfs(folder).f_frsize // 2**20
    if free_mb > FULL_MB and "No space left" not in error.tail:
        return error
    return run.Refused(
        f"No space left on device: {free_mb} MB are free at {folder}", remedy="make room there", tail=error.tail
    )
