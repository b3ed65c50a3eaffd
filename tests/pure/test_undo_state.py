"""How the world is left where the way back from an upgrade fails: it is never as it was before."""

from types import SimpleNamespace

import pytest

from airfleet import upgrade_undo
from airfleet.errors import ApplyFailed


def test_a_way_back_that_fails_says_that_it_has_begun(monkeypatch):
    """Services may be stopped, and the same command begins anew; what the step itself said stays."""

    def failing(*_):
        raise ApplyFailed("api-server is deactivating", place="af1")

    monkeypatch.setattr(upgrade_undo, "stop_all", failing)
    old = SimpleNamespace(inventory=SimpleNamespace(airflow=SimpleNamespace(version="2.11.2")))
    with pytest.raises(ApplyFailed) as told:
        upgrade_undo.restored(old, None, SimpleNamespace(name="b-1"), None)
    assert told.value.remedy == "mend it, then again: fab undo-upgrade b-1"
    assert told.value.state == (
        "on the way back to Airflow 2.11.2: services may be stopped, DAGs paused; of the last step: nothing was changed"
    )
