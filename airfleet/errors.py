"""What can go wrong, one class for each thing that an operator would do about it, with its exit code."""

from __future__ import annotations


class FleetError(Exception):
    """A foreseen failure: printed as a message, never as a traceback.

    `problem` says what is wrong, `place` where, `remedy` what to do and `state` how the world was left.
    """

    exit_code = 1

    def __init__(self, problem: str, *, place: str = "", remedy: str = "", state: str = "nothing was changed") -> None:
        super().__init__(problem)
        self.problem = problem
        self.place = place
        self.remedy = remedy
        self.state = state

    def __str__(self) -> str:
        lines = [f"{self.place}: {self.problem}" if self.place else self.problem]
        if self.remedy:
            lines.append(f"  do:    {self.remedy}")
        if self.state:
            lines.append(f"  state: {self.state}")
        return "\n".join(lines)


class UsageError(FleetError):
    """The command line, the inventory or the secrets file is wrong; nothing was contacted."""

    exit_code = 2


class HostUnreachable(FleetError):
    """No connection to a host, no login on it, or no way to become root there."""

    exit_code = 3


class HostKeyRefused(FleetError):
    """The host's key is unknown or not the one that is trusted; not one command was sent."""

    exit_code = 3


class HostChanged(FleetError):
    """A file or link was changed by somebody else between the look and the change."""

    exit_code = 4


class ApplyFailed(FleetError):
    """A change failed on a host."""

    exit_code = 5


class LockHeld(FleetError):
    """Another operator is at work on this installation."""

    exit_code = 6


class RolloutStopped(FleetError):
    """The rollout was stopped: by a failing host, an unhealthy service or the operator."""

    exit_code = 7


class GateRefused(FleetError):
    """A check before the change said no."""

    exit_code = 8


class NotHealthy(FleetError):
    """Everything is in place, but it is not well."""

    exit_code = 9


class ChangesPending(FleetError):
    """Not a failure: what `fab plan` says by its exit code when something would change."""

    exit_code = 10
