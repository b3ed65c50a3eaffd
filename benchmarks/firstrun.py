"""Times the first `fab bootstrap` of a bare machine, stage by stage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox import Site


def measure(site: Site, say: Callable[[str], None]) -> dict[str, Any]:
    """Boot a bare machine, bootstrap it, and return how long each stage took."""
    raise NotImplementedError
