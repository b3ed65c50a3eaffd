"""The flows of `fab deploy` and `fab rollback`: under the lock, from the first connection on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airfleet import history, session

if TYPE_CHECKING:
    from airfleet.bootstrap_run import Screen
    from airfleet.wishes import DeployWish


def deploy(env: str, wish: DeployWish, screen: Screen) -> None:
    """Bring all hosts to the commit that a ref is now, or raise; with `dry_run` ChangesPending if that is a change."""
    wish.checked()
    with session.opened(env, doing="deploy", connect=True) as fleet:
        from airfleet.deploy_run import Deploy  # imported while the hosts answer

        with fleet.locked(wait_s=wish.lock_wait_s, say=screen.say):
            Deploy(fleet, screen, wish).to_ref()


def rollback(env: str, release: str, wish: DeployWish, screen: Screen) -> None:
    """Bring all hosts back to the release that ran before this one, or to one that is named."""
    wish.checked()
    with session.opened(env, doing=history.BACKWARD, connect=True) as fleet:
        from airfleet.deploy_run import Deploy  # imported while the hosts answer

        with fleet.locked(wait_s=wish.lock_wait_s, say=screen.say):
            Deploy(fleet, screen, wish).backward(release)
