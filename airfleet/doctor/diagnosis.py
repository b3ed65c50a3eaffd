"""From what was seen to what is wrong: every rule is asked, causes come first, their effects under them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from airfleet.doctor import backups, dags, hosts, logs, settings, stores, units, work
from airfleet.doctor.finding import CouldNotLook, Finding
from airfleet.doctor.operation import Operation, make_operation
from airfleet.generations import generation_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airfleet.checkup import Checkup
    from airfleet.doctor.finding import Check

CHECKS: tuple[Check, ...] = (
    *hosts.CHECKS,
    *stores.CHECKS,
    *settings.CHECKS,
    *units.CHECKS,
    *logs.CHECKS,
    *work.CHECKS,
    *dags.CHECKS,
    *backups.CHECKS,
)
# Those whose facts a quick look brings: what `fab status` goes by.
QUICK: tuple[Check, ...] = tuple(check for check in CHECKS if check.quick)


@dataclass(frozen=True)
class Diagnosis:
    """What is wrong, and what was looked at and is not.

    `causes` are findings that nothing else explains, `effects` those that a cause explains, by its place in `causes`.
    `held` are findings that the operation under way brings about by itself, each with why: no causes while it lasts.
    """

    causes: tuple[Finding, ...]
    effects: dict[int, tuple[Finding, ...]]
    latent: tuple[Finding, ...]
    fine: tuple[str, ...]
    unknown: tuple[str, ...]
    crashed: tuple[str, ...] = field(default=())
    operation: Operation | None = None
    held: tuple[tuple[Finding, str], ...] = ()

    @property
    def well(self) -> bool:
        """Tell whether nothing at all was found, and everything could be looked at."""
        return not (self.causes or self.latent or self.unknown or self.crashed or self.held)


def diagnose(checkup: Checkup, checks: Sequence[Check] = CHECKS) -> Diagnosis:
    """Return what the rules say of a checkup; a rule that fails is told of, the others go on."""
    found: list[Finding] = []
    fine: list[str] = []
    unknown = [f"{name}: {why}" for name, why in checkup.unreachable.items()]
    for name, host in checkup.hosts.items():
        unknown += [f"{name}: {what}: {why}" for what, why in (host.get("unknown") or {}).items()]
    crashed: list[str] = []
    services = {"", *(each.name for each in generation_of(checkup.inventory.airflow.version).services)}
    for check in checks:
        if check.service not in services:
            continue
        mine: list[Finding] = []
        try:
            mine += check.rule(checkup)
        except CouldNotLook as e:
            unknown.append(f"{check.title}: {e}")
            continue
        except Exception as e:  # noqa: BLE001  # one broken rule must not hide what the others see
            crashed.append(f"{check.title}: {type(e).__name__}: {e}")
            continue
        finally:
            found += mine
        if not mine:
            fine.append(check.title)
    operation = make_operation(checkup.operation)
    causes, effects, latent, held = _sorted(found, operation)
    unlooked = tuple(dict.fromkeys(unknown))
    return Diagnosis(causes, effects, latent, tuple(fine), unlooked, tuple(crashed), operation, held)


def _sorted(
    found: list[Finding], operation: Operation | None
) -> tuple[tuple[Finding, ...], dict[int, tuple[Finding, ...]], tuple[Finding, ...], tuple[tuple[Finding, str], ...]]:
    """Return causes, effects, what is latent and what is held back, with the effects of that."""
    found = sorted(found, key=lambda each: (each.latent, each.layer))
    roots = [
        each
        for each in found
        if not any(
            other is not each and not other.latent and other.covers(each) and not _both(other, each) for other in found
        )
    ]
    held = [(each, why) for each in roots if operation and (why := operation.why(each))]
    mine = [each for each, _ in held]
    causes = [each for each in roots if not each.latent and each not in mine]
    effects = {
        number: tuple(each for each in found if each not in roots and cause.covers(each))
        for number, cause in enumerate(causes)
    }
    told = [*roots, *(each for some in effects.values() for each in some)]
    for root in mine:
        held += [(each, f"an effect of {root.id}") for each in found if each not in told and root.covers(each)]
    latent = tuple(each for each in roots if each.latent and each not in mine)
    return tuple(causes), effects, latent, tuple(dict(held).items())


def _both(one: Finding, other: Finding) -> bool:
    """Tell whether each would explain the other: then the lower layer is the cause."""
    return other.covers(one) and not other.latent and one.layer > other.layer
