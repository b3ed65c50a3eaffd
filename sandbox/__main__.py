"""`python -m sandbox`: prints the Debian packages that this computer lacks for the sandbox; what `make` installs."""

from __future__ import annotations

from sandbox.computer import missing_packages

if __name__ == "__main__":
    print(" ".join(missing_packages()))
