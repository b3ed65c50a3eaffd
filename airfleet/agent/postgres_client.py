"""PostgreSQL's own programs, run as the account: pg_dump, pg_restore, and a conversation with psql.

The password is in a file that has no name (memfd_create), which only the account can read: not on any disk, in no
command line, in no environment, and gone with the last process that has it open.
"""

from __future__ import annotations

import contextlib
import glob
import json
import os
import queue
import re
import subprocess
import threading

from airfleet.agent import certificates, run

PROGRAMS = "/usr/lib/postgresql/*/bin"  # Debian's and Ubuntu's packages, and those of the PostgreSQL project for them
NEEDED = ("pg_dump", "pg_restore", "psql")
CONNECT_S = 10
CHUNK = 256 * 1024
LINK = "keepalives_idle=30 keepalives_interval=10 keepalives_count=3 tcp_user_timeout=60000"  # a dead one is noticed
MARK = "airfleet: answered"
PGDG = "/usr/share/postgresql-common/pgdg/apt.postgresql.org.sh"


def installed(pattern=PROGRAMS):
    """Return {major version: folder of the programs} of what is installed on this host."""
    found = {}
    for path in glob.glob(pattern):
        major = re.search(r"/(\d+)/bin$", path)
        if major and all(os.access(f"{path}/{name}", os.X_OK) for name in NEEDED):
            found[int(major.group(1))] = path
    if not found:
        raise run.Refused(
            "pg_dump and psql are not on this host", kind="missing", remedy="fab bootstrap installs postgresql-client"
        )
    return found


def fitting(found, server, archive=0):
    """Return the oldest of the installed versions that is not older than the server, and than what made an archive."""
    least = max(server, archive)
    fits = [major for major in found if major >= least]
    if not fits:
        what = f"the server is PostgreSQL {server}" if server >= archive else f"pg_dump {archive} made the backup"
        raise run.Refused(
            f"{what}, and the newest client on this host is {max(found)}: pg_dump and pg_restore refuse what is newer",
            kind="refused",
            remedy=f"install postgresql-client-{least} there; where the distribution has none: apt install"
            f" postgresql-common, run {PGDG}, apt install postgresql-client-{least}",
        )
    return min(fits)


class Client:
    """The way to one server as Airflow's own role; close it to forget the password."""

    def __init__(self, words):
        self.dsn, self.account = words["dsn"], words["account"]
        self.found = installed(words.get("programs", PROGRAMS))
        self.newest = max(self.found)
        password = re.sub(r"([\\:])", r"\\\1", self.dsn["password"])
        self._held = contextlib.ExitStack()
        self._fd = self._held.enter_context(without_a_name(f"*:*:*:*:{password}\n".encode(), self.account))
        self._root = None
        if self.dsn.get("authority"):
            self._root = self._held.enter_context(without_a_name(self.dsn["authority"].encode(), self.account))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._held.close()

    def started(self, major, program, *words, database=None, fds=(), **pipes):
        """Start one of the programs of a version; whoever starts it hands it to `run.ended`."""
        dsn = self.dsn
        env = {
            "PGHOST": dsn["host"],
            "PGPORT": str(dsn["port"]),
            "PGUSER": dsn["user"],
            "PGDATABASE": database or dsn["name"],
            "PGSSLMODE": dsn.get("sslmode") or "prefer",
            "PGAPPNAME": "airfleet",
            "PGCONNECT_TIMEOUT": str(CONNECT_S),
            "PGCLIENTENCODING": "UTF8",
            "PGPASSFILE": f"/proc/self/fd/{self._fd}",
        }
        if self._root:
            env["PGSSLROOTCERT"] = self.root
            fds = (self._root, *fds)
        argv = [f"{self.found[major]}/{program}", *words]
        return run.started(argv, user=self.account, env=env, pass_fds=(self._fd, *fds), **pipes)

    @property
    def root(self):
        """The path of the authority's certificate, for this process and those that it starts; None without one."""
        return self._root and f"/proc/self/fd/{self._root}"

    def version(self, major):
        """Return the full version of the programs of a major version, such as 15.18."""
        return run.run([f"{self.found[major]}/pg_dump", "--version"], user=self.account).split()[2]

    def session(self, database=None):
        """Return a new conversation with psql."""
        return Session(self, database)

    @property
    def place(self):
        """Where the database is, for messages."""
        return "{host}:{port}/{name}".format(**self.dsn)


class Session:
    """One conversation with psql. A transaction that was not committed is rolled back when it ends, however it ends."""

    def __init__(self, client, database=None):
        self.client, self.database = client, database
        words = ("-X", "-A", "-t", "-q", "--no-password", f"--dbname={LINK}", "-v", "ON_ERROR_STOP=1", "-f", "-")
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        self._child = client.started(client.newest, "psql", *words, database=database, **pipes)
        self._lines = queue.Queue()
        # It is read all the while: psql never waits for us with a full pipe while we wait for it.
        threading.Thread(target=self._read, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        run.ended(self._child)
        self._child.stdin.close()

    def ask(self, text):
        """Do what the text says, and return the lines that it answers."""
        self.write(f"{text}\n\\echo {MARK}\n".encode())
        return self.answer()

    def write(self, data):
        """Have psql read more; what it answers is had by `answer`."""
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._child.stdin.fileno(), view) :]
        except BrokenPipeError:
            raise self._refusal(self._rest()) from None

    def answer(self):
        """Return the lines up to the next mark; raise what the database said where there is none any more."""
        found = []
        while (line := self._lines.get()) is not None:
            if line == MARK:
                return found
            found.append(line)
        raise self._refusal(found)

    def value(self, text):
        """Return the JSON value that a query answers."""
        return json.loads("".join(self.ask(text)))

    def values(self, text):
        """Return the JSON values of all lines."""
        return [json.loads(line) for line in self.ask(text)]

    def _read(self):
        with self._child.stdout as lines:
            for line in lines:
                self._lines.put(line.decode("utf-8", "replace").rstrip("\n"))
        self._lines.put(None)

    def _rest(self):
        found = []
        while (line := self._lines.get()) is not None:
            found.append(line)
        return found

    def _refusal(self, lines):
        """Return what the database said as a refusal; `psql:<stdin>:7:` says nothing to an operator."""
        said = [re.sub(r"^psql:<stdin>:\d+: |^psql: error: ", "", line) for line in lines if line != MARK]
        errors = [line for line in said if re.match("ERROR|FATAL|PANIC", line)]
        place = self.client.place.rpartition("/")[0] + "/" + (self.database or self.client.dsn["name"])
        if any(line.startswith("psql: error:") for line in lines):
            what, remedy = "the database can't be used", "look at `database` in the inventory and at database_password"
            if self.client.root and certificates.UNTRUSTED in "\n".join(said):
                what, remedy = certificates.trouble(self.client.dsn, self.client.root) or (what, remedy)
        else:
            what, remedy = errors[0] if errors else "psql ended without an answer", "read the lines below"
        stranger = re.search(r'role "(.+)" does not exist', what)
        if stranger:
            remedy = f"as an administrator: CREATE ROLE {name(stranger.group(1))}: the backup grants it rights"
        return run.Refused(f"{place}: {what}", kind="database", remedy=remedy, tail=run.tail("\n".join(said)))


@contextlib.contextmanager
def without_a_name(text, account):
    """Yield the descriptor of a file without a name that the account can read: for what a program wants in a file."""
    fd = os.memfd_create("airfleet", os.MFD_CLOEXEC)
    try:
        entry = run.account_of(account)
        os.fchmod(fd, 0o600)
        os.fchown(fd, entry.pw_uid, entry.pw_gid)
        with os.fdopen(os.dup(fd), "wb") as f:
            f.write(text)
        yield fd
    finally:
        os.close(fd)


def literal(value):
    """Return a text as SQL has it."""
    return "'" + value.replace("'", "''") + "'"


def name(value):
    """Return a name as SQL has it."""
    return '"' + value.replace('"', '""') + '"'
