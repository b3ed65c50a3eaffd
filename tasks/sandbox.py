"""Real machines on this computer to try airfleet on."""

from __future__ import annotations

from tasks.door import command


@command(
    help={
        "workers": "worker hosts af2, af3 … beside af1, which has every role (default 0; hosts that run are kept)",
        "airflow": "version of Airflow in its inventory (default: what is there already, else 3.3.2)",
        "release": "Debian release of new hosts: bookworm or trixie (default: what runs already, else bookworm)",
    }
)
def up(c, workers=0, release="", airflow=""):
    """
    Boot the sandbox's machines and write inventory.sandbox.yaml for `--env sandbox`.

    af1 (all roles), worker hosts if asked for, and svc, which stands for Google: PostgreSQL, git, downloads. Needs
    root on Linux. The first call builds Debian images (two to three minutes); the next ones take seconds.
    """
    from sandbox import fleet
    from tasks.screen import Screen

    fleet.up(workers, release, airflow=airflow, say=Screen().say)


@command(help={"purge": "remove images, caches and keys too (.sandbox)"})
def down(c, purge=False):
    """
    Take the sandbox away: machines, bridge, rules, inventory.sandbox.yaml. Everything on the machines is lost.

    Works by what is there, so it also clears what a crash in the middle left behind. Images and caches stay, for
    the next `sandbox.up`.
    """
    from sandbox import fleet
    from tasks.screen import Screen

    fleet.down(purge=purge, say=Screen().say)


@command(help={"json": "print JSON"})
def status(c, json=False):
    """
    Tell which machines there are, whether they run and whether SSH answers. Exit code 0 in any case.
    """
    import json as as_json

    from sandbox import fleet

    machines = fleet.status()
    if json:
        print(as_json.dumps(machines, indent=2))
        return
    for machine in machines:
        state = "up" if machine["ssh"] else "no SSH" if machine["running"] else "not running"
        print(f"{machine['name']:12} {machine['address']:15} {machine['release']:10} {state}")
    if not machines:
        print("no machines; `fab sandbox.up` boots them")
