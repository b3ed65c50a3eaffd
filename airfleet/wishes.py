"""What an operator may want of a bootstrap, a deploy or a rollback. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from airfleet.batches import ONE, Batch, checked_failures
from airfleet.errors import UsageError

ALWAYS, CHANGED, NEVER = "always", "changed", "never"
POLICIES = (ALWAYS, CHANGED, NEVER)


@dataclass(frozen=True)
class BootstrapWish:
    """What an operator may want of a bootstrap; `only` empty is all hosts."""

    only: str = ""
    dry_run: bool = False
    max_wait_s: int = 3600
    batch: Batch = ONE
    max_failures: int = 0


@dataclass(frozen=True)
class DeployWish:
    """What an operator may want of a deploy; `ref` empty is the inventory's branch."""

    ref: str = ""
    restart: str = ALWAYS
    max_wait_s: int = 3600
    lock_wait_s: int = 0
    accepted: frozenset[str] = field(default_factory=frozenset)
    dry_run: bool = False
    batch: Batch = ONE
    max_failures: int = 0

    def checked(self) -> DeployWish:
        """Return it, or raise UsageError for what can't be meant."""
        if self.restart not in POLICIES:
            raise UsageError(
                f"--restart {self.restart}", remedy=f"one of {', '.join(POLICIES)}", state="nothing was contacted"
            )
        if self.max_wait_s < 0 or self.lock_wait_s < 0:
            raise UsageError("a time to wait can't be negative", state="nothing was contacted")
        checked_failures(self.max_failures)
        return self
