"""`python -m sandbox up|down|status|packages`: the door for the Makefile and for a computer without fabric."""

from __future__ import annotations

import argparse
import json
import sys

from airfleet.errors import FleetError
from sandbox.computer import PACKAGES


def main() -> int:
    """Do what the command line says; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m sandbox", description=__doc__)
    doors = parser.add_subparsers(dest="door", required=True)
    up = doors.add_parser("up", help="boot the machines and write inventory.sandbox.yaml")
    up.add_argument("--workers", type=int, default=0, help="worker hosts beside af1")
    up.add_argument("--release", default="", help="Debian release of new hosts: bookworm or trixie")
    up.add_argument("extra", nargs="*", help="further bare machines")
    down = doors.add_parser("down", help="take everything away")
    down.add_argument("--purge", action="store_true", help="images and caches too")
    doors.add_parser("status", help="tell what runs, as JSON")
    doors.add_parser("packages", help="print the Debian packages that the sandbox needs")
    asked = parser.parse_args()
    if asked.door == "packages":
        print(" ".join(PACKAGES))
        return 0
    from sandbox import fleet

    try:
        if asked.door == "up":
            fleet.up(asked.workers, asked.release, asked.extra)
        elif asked.door == "down":
            fleet.down(purge=asked.purge)
        else:
            print(json.dumps(fleet.status(), indent=1))
    except FleetError as e:
        print(e, file=sys.stderr)
        return e.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
