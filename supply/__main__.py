"""`python -m supply WHAT`: what `make release`, `audit`, `sbom`, `secrets` and `baseline` run."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from airfleet.errors import FleetError
from supply import REPOSITORY, audit, bill, release, scan


def main(argv: list[str]) -> int:
    """Do one of them; return the exit code."""
    asked = _parser().parse_args(argv)
    try:
        return int(asked.run(asked) or 0)
    except FleetError as e:
        print(f"supply: {e}", file=sys.stderr)
        return e.exit_code


def _release(asked: argparse.Namespace) -> int:
    for path in release.build(REPOSITORY, asked.tag, asked.out):
        print(path)
    return 0


def _audit(asked: argparse.Namespace) -> int:
    print(audit.report(REPOSITORY, asked.seconds))
    return 0


def _sbom(_: argparse.Namespace) -> int:
    print(bill.bill_of(REPOSITORY, stamp=""), end="")
    return 0


def _secrets(asked: argparse.Namespace) -> int:
    found = scan.unknown(REPOSITORY, asked.files or scan.tracked(REPOSITORY))
    for line in found:
        print(line)
    if found:
        print(scan.ADVICE)
    return 1 if found else 0


def _baseline(_: argparse.Namespace) -> int:
    print(f"{scan.write(REPOSITORY)} findings are known now: read the diff of {scan.BASELINE} before you commit it")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m supply", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="WHAT")
    made = commands.add_parser("release", help="the archive of a tag, its SBOM and their checksums")
    made.add_argument("tag", nargs="?", default="", help="such as v1.2.0 (default: the tag of HEAD)")
    made.add_argument("--out", type=Path, default=REPOSITORY / "dist", help="folder (default: dist)")
    made.set_defaults(run=_release)
    made = commands.add_parser("audit", help="what is known against the libraries of uv.lock; a report, always exit 0")
    made.add_argument("--seconds", type=float, default=audit.PATIENCE_S, help="give up after so long")
    made.set_defaults(run=_audit)
    made = commands.add_parser("sbom", help="the libraries of uv.lock as CycloneDX")
    made.set_defaults(run=_sbom)
    made = commands.add_parser("secrets", help="refuse what looks like a secret and is not in the baseline")
    made.add_argument("files", nargs="*", help="default: all that git tracks")
    made.set_defaults(run=_secrets)
    made = commands.add_parser("baseline", help="write down all that looks like a secret and is none")
    made.set_defaults(run=_baseline)
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
