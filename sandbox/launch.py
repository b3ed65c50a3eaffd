"""The program that becomes a machine: it joins the machine's cgroups, mounts its root and turns into systemd-nspawn.

Started by machine.py in a mount namespace of its own, so that the mount ends with the machine, whatever happens to it.
One JSON object on standard input: cgroups, lock (a descriptor to close once they are joined), overlay, root, argv, env.
"""

import json
import os
import subprocess
import sys
from pathlib import Path


def main() -> None:
    """Become the machine."""
    order = json.load(sys.stdin)
    for cgroup in order["cgroups"]:
        Path(cgroup, "cgroup.procs").write_text(str(os.getpid()))
    os.close(order["lock"])  # from here on whoever wants the machine gone finds it by its cgroup
    if order["overlay"]:
        subprocess.run(["mount", "-t", "overlay", "-o", order["overlay"], "overlay", order["root"]], check=True)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.execvpe(order["argv"][0], order["argv"], order["env"])


if __name__ == "__main__":
    main()
