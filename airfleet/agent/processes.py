"""Processes and ports of this host, read from /proc: who runs, in which unit, and who listens where."""

from __future__ import annotations

import glob
import re

from airfleet.agent import paths, run

CGROUPS = ("/sys/fs/cgroup", "/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified")
UNIT = re.compile(r"/([^/]+\.(?:service|scope))(?:/|$)")
NODE = re.compile(r"--hostname[= ]+'?([^\s']+)|\[celeryd: ([^:\s]+)")


def state(pid):
    """Return the kernel's letter for what a process does (S sleeps, R runs, T is stopped), None when it is gone."""
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rpartition(")")[2].split()[0]
    except OSError:
        return None


def members(control_group):
    """Return the processes of a control group and of those below it; none where that is no name of one."""
    found = set()
    if not control_group.startswith("/") or "\0" in control_group or ".." in control_group.split("/"):
        return found
    for root in CGROUPS:
        for path in glob.glob(f"{glob.escape(root + control_group)}/**/cgroup.procs", recursive=True):
            try:
                with open(path) as f:
                    found.update(int(line) for line in f)
            except OSError:
                continue  # it ended meanwhile
    return found


def stopped_in(control_group):
    """Return the processes of a control group that somebody has stopped by a signal."""
    return sorted(pid for pid in members(control_group) if state(pid) == "T")


def orphans(control_group, main):
    """Return [[pid, what]] of processes in a unit whose parent has died: nobody waits for them any more."""
    found = []
    for pid in sorted(members(control_group)):
        if pid != main and _parent(pid) == 1:
            found.append([pid, command_line(pid)[:120]])
    return found


def _parent(pid):
    try:
        with open(f"/proc/{pid}/stat") as f:
            return int(f.read().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def command_line(pid):
    """Return the words of a process's command line, joined by blanks; "" when it is gone."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as f:
            return f.read().replace(b"\0", b" ").decode("utf-8", "replace").strip()
    except OSError:
        return ""


def unit_of(pid):
    """Return the unit that a process is in, "" where it is in none."""
    try:
        with open(f"/proc/{pid}/cgroup") as f:
            found = UNIT.findall(f.read())
    except OSError:
        return ""
    return found[-1] if found else ""


def ports(words):
    """Return {port: {"pid", "name", "unit"}} of those that listen on the ports asked about."""
    text = run.run(["ss", "-ltnpH"], ok=(0, 1))
    found = {}
    for line in text.splitlines():
        words_of_line = line.split()
        port = words_of_line[3].rpartition(":")[2] if len(words_of_line) > 3 else ""
        if port in words["ports"] and port not in found:
            holder = re.search(r'\("([^"]+)",pid=(\d+)', line)
            pid = int(holder.group(2)) if holder else 0
            found[port] = {"pid": pid, "name": holder.group(1) if holder else "?", "unit": unit_of(pid)}
    return found


def strays(words):
    """Return [{"pid", "node", "unit"}] of Celery workers' main processes, wherever they were started."""
    workers = {}
    for path in glob.glob("/proc/[0-9]*"):
        pid = int(path.rpartition("/")[2])
        line = command_line(pid)
        if "celery" in line and (" worker " in line or line.startswith("[celeryd:")):
            node = NODE.search(line)
            if node:
                workers[pid] = node.group(1) or node.group(2)
    mains = [pid for pid in workers if _parent(pid) not in workers]
    return [{"pid": pid, "node": workers[pid], "unit": unit_of(pid)} for pid in sorted(mains)]


def pidfiles(words):
    """Return [{"path", "pid", "alive"}] of the files in AIRFLOW_HOME that say a service runs already."""
    found = []
    for path in sorted(glob.glob(f"{glob.escape(words['home'])}/*.pid")):
        try:
            pid = int(paths.read(path, limit=64).strip() or 0)
        except (OSError, ValueError, paths.Odd):
            pid = 0
        found.append({"path": path, "pid": pid, "alive": bool(pid) and "airflow" in command_line(pid)})
    return found
