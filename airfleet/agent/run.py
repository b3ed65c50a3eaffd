"""Runs programs on the host: an argument list, never a shell; as an account with a clean environment."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import pwd
import signal
import subprocess
import threading
import time

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
TAIL_LINES = 25
TAIL_WIDTH = 500
MOST = 64 * 1024 * 1024  # of what a program prints; whoever writes without an end does not fill our memory
CHUNK = 1024 * 1024
DIGITS = 18
FRAMES = 4
LAST_WORDS_S = 40
LOST = 70
_children = set()
_on_loss = []
_losing = []
_loss = threading.Lock()


class Refused(Exception):
    """Something that the operator can act on: `what` went wrong, of which `kind`, and the `tail` of what it printed."""

    def __init__(self, what, *, kind="failed", remedy="", tail=""):
        super().__init__(what)
        self.what, self.kind, self.remedy, self.tail = what, kind, remedy, tail

    def words(self):
        """Return the plain words of an answer."""
        return {"error": self.what, "class": self.kind, "remedy": self.remedy, "tail": self.tail}


def words_of(error):
    """Return the plain words of an answer for a refusal, or for an error that nobody foresaw."""
    if isinstance(error, Refused):
        return error.words()
    if not isinstance(error, (OSError, ValueError)):
        import traceback  # not before it is needed: it imports more than all the rest here

        frames = traceback.extract_tb(error.__traceback__)[-FRAMES:]
        return Refused(
            f"airfleet did not foresee this: {type(error).__name__}: {error}",
            kind="unforeseen",
            remedy="report it, with these lines",
            tail="\n".join(f"{frame.filename}:{frame.lineno} in {frame.name}" for frame in frames),
        ).words()
    if isinstance(error, OSError) and error.errno == 28:
        where = f": {error.filename}" if error.filename else ""
        return Refused(f"no space left on the device{where}", remedy="make room on this host").words()
    return Refused(f"{type(error).__name__}: {error}").words()


def parsed(text):
    """Return what a text in JSON says that somebody else wrote; ValueError where it is none, or nested too deep."""
    try:
        return json.loads(text)
    except RecursionError as e:
        raise ValueError("nested too deep") from e


def number(text):
    """Return the number that digits are, 0 for anything else."""
    fits = isinstance(text, str) and len(text) <= DIGITS and text.isascii() and text.isdigit()
    return int(text) if fits else 0


def environment(user, more=None):
    """Return the clean environment in which programs run for this account."""
    account = account_of(user)
    env = {"PATH": PATH, "HOME": account.pw_dir, "USER": user, "LOGNAME": user, "LANG": "C.UTF-8", "SHELL": "/bin/sh"}
    env.update(more or {})
    return env


def account_of(user):
    """Return the entry of this account in the host's list of accounts."""
    try:
        return pwd.getpwnam(user)
    except KeyError as e:
        raise Refused(f"there is no account {user} on this host", kind="missing", remedy="run: fab bootstrap") from e


def run(argv, *, user="root", env=None, stdin="", timeout_s=600, tell=None, ok=(0,), cwd="/", errors=True):
    """Run a program to its end and return what it printed on stdout (with stderr after it in the tail of an error).

    Each line that it prints goes to `tell`, at most five a second. Raises Refused when it fails or takes too long.
    """
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    pipes["stderr"] = subprocess.STDOUT if errors else subprocess.DEVNULL
    child = started(argv, user=user, env=env, cwd=cwd, encoding="utf-8", errors="replace", **pipes)
    out = []
    timer = threading.Timer(timeout_s, _kill, (child,))
    timer.daemon = True
    timer.start()
    try:
        feed(child, stdin)
        last, length = 0.0, 0
        for line in iter(functools.partial(child.stdout.readline, CHUNK), ""):
            out.append(line)
            length += len(line)
            if length > MOST:
                raise Refused(f"{_spoken(argv)} printed more than {MOST} bytes and was ended")
            if tell and line.strip() and time.monotonic() - last > 0.2:
                last = time.monotonic()
                tell(line.rstrip()[:200])
        rc = child.wait()
    finally:
        timed_out = not timer.is_alive() and child.returncode == -signal.SIGKILL
        timer.cancel()
        ended(child)
    text = "".join(out)
    if timed_out:
        raise Refused(f"{argv[0]} took more than {timeout_s} s and was ended", kind="timeout", tail=tail(text))
    if rc not in ok:
        raise Refused(f"{_spoken(argv)} ended with {rc}", tail=tail(text))
    return text


def started(argv, *, user="root", env=None, cwd="/", patience_s=0, **pipes):
    """Start a program as this account, in a session of its own, and return it; it ends with this process, or before.

    Whoever starts it hands it to `ended` at last. With `patience_s` it is asked to end, and has so long to do it.
    """
    account = account_of(user)
    identity = {}
    if account.pw_uid != os.getuid():
        groups = os.getgrouplist(user, account.pw_gid)
        identity = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": groups}
    try:
        with _loss:  # nothing is started any more once the operator is lost
            if not _is_over():
                child = subprocess.Popen(
                    argv,
                    env=environment(user, env),
                    cwd=cwd,
                    start_new_session=True,
                    umask=0o022,
                    **identity,
                    **pipes,
                )
                child.patience_s = patience_s
                _children.add(child)
    except FileNotFoundError as e:
        raise Refused(f"there is no program {argv[0]} on this host", kind="missing") from e
    except PermissionError as e:
        raise Refused(f"{user} may not run {argv[0]}, or not reach its folder", kind="missing") from e
    stand_still()
    return child


def ended(child):
    """End a program that `started` returned, if it still runs; its exit status is known then."""
    _kill(child)
    _children.discard(child)
    stand_still()


def feed(child, text):
    """Give a program all that it reads."""
    try:
        child.stdin.write(text)
        child.stdin.close()
    except BrokenPipeError:
        pass  # it ended without reading: its exit status tells why


def tail(text):
    """Return the last lines of a text."""
    return "\n".join(line[:TAIL_WIDTH] for line in text.rstrip().splitlines()[-TAIL_LINES:])


def wait_until(condition, timeout_s, poll_s=0.1):
    """Return the first true value of `condition()`, or its last value when the time (seconds) is over."""
    deadline = time.monotonic() + timeout_s
    while True:
        value = condition()
        if value or time.monotonic() > deadline:
            return value
        time.sleep(poll_s)


@contextlib.contextmanager
def on_loss(callback):
    """Have `callback` called if the operator is lost while the block lasts, before this process ends."""
    _on_loss.append(callback)
    try:
        yield
    finally:
        stand_still()
        _on_loss.remove(callback)


def lose():
    """End all programs, then do what was asked for on a loss, and end this process: the operator is gone.

    No other thread gets any further: what it would do next is not wanted by anybody. The last words take LAST_WORDS_S
    at most.
    """
    with _loss:
        first = not _losing
        _losing.append(threading.get_ident())
    if not first:
        stand_still()
        return
    end = threading.Timer(LAST_WORDS_S, os._exit, (LOST,))
    end.daemon = True
    end.start()
    end_children()
    try:
        for callback in reversed(_on_loss):
            with contextlib.suppress(Exception):  # nobody is there to be told; the others are still to be called
                callback()
    finally:
        os._exit(LOST)


def stand_still():
    """Stop this thread for good once the operator is lost, unless it is the one that sees to that."""
    if _is_over():
        threading.Event().wait()


def _is_over():
    return bool(_losing) and threading.get_ident() != _losing[0]


def end_children():
    """End every program that is still running, with all that it started."""
    for child in list(_children):
        _kill(child)


def _kill(child):
    """End a program with all that it started: at once, or, where it has patience, asked first as by Ctrl-C."""
    for number, patience_s in ((signal.SIGINT, child.patience_s), (signal.SIGKILL, None)):
        if child.poll() is not None or patience_s == 0:
            continue
        try:
            os.killpg(child.pid, number)
        except ProcessLookupError:
            pass  # it ended by itself in between
        try:
            child.wait(patience_s)
        except subprocess.TimeoutExpired:
            pass


def _spoken(argv):
    return " ".join(argv[:4]) + (" …" if len(argv) > 4 else "")
