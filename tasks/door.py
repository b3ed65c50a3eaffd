"""How a command is declared: an Invoke task that turns foreseen failures into a message and an exit code."""

from __future__ import annotations

import atexit
import functools
import gc
import os
from typing import TYPE_CHECKING, Any

from invoke import task
from invoke.exceptions import Exit, ParseError

from airfleet.answers import printable
from airfleet.errors import FleetError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

INTERRUPTED = 7
ENV_HELP = "which inventory: inventory.NAME.yaml (default: AIRFLEET_ENV, else inventory.yaml)"
ONLY_HELP = "touch only these hosts, comma separated: names, roles (worker), patterns ('gpu-*')"
BATCH_HELP = (
    "how many hosts' workers are restarted at the same time: 2, or 25% of them (default 1); the first host goes alone,"
    " and no queue loses its last consumer"
)
MAX_FAILURES_HELP = (
    "go on when up to so many hosts that run workers alone fail or can't be reached: they are named and left out,"
    " exit 7 at the end (default 0: stop at the first)"
)
DRY_RUN_HELP = "print the plan, with diffs, and stop; exit 10 when something would change"

# Python searches for garbage again and again while it imports, and all that was imported once more when it ends, 80 ms
# long: it searches more rarely here, and what is frozen at the end is left to the system.
gc.set_threshold(50_000)
atexit.register(gc.freeze)


def command(help: Mapping[str, str], **options: Any) -> Callable[[Callable[..., None]], Any]:
    """Declare a command; its function's docstring is what `fab --help COMMAND` prints."""

    def declare(body: Callable[..., None]) -> Any:
        @functools.wraps(body)
        def guarded(c: Any, *args: Any, **kwargs: Any) -> None:
            try:
                if c.config.run.dry:
                    raise UsageError(
                        "fab's own --dry is not a plan: it hides some steps and takes others", remedy="use --dry-run"
                    )
                body(c, *args, **kwargs)
            except FleetError as e:
                raise Exit(f"airfleet: {printable(str(e))}", e.exit_code) from e
            except KeyboardInterrupt:
                raise Exit("airfleet: interrupted; nothing was changed", INTERRUPTED) from None

        return task(help=dict(help), **options)(guarded)

    return declare


def strict(program: Any) -> None:
    """Have a command line that can't be read end with exit 2, as whatever else is wrong with one; Invoke says 1."""
    parse = program.parse_tasks

    def parse_tasks() -> None:
        try:
            parse()
        except ParseError as e:
            name = f" {e.context.name}" if e.context and e.context.name else ""
            wrong = UsageError(str(e), remedy=f"fab --help{name}", state="nothing was contacted")
            raise Exit(f"airfleet: {wrong}", wrong.exit_code) from e

    program.parse_tasks = parse_tasks


def environment(env: str) -> str:
    """Return the chosen environment's name; empty for inventory.yaml."""
    return env or os.environ.get("AIRFLEET_ENV", "")
