"""Rotations on hosts in memory: nothing fails on the way, and one that is killed at any step is ended by the next."""

from __future__ import annotations

import io
import sys
from contextlib import suppress
from dataclasses import replace

import pytest
import yaml
from rotation_town import INVENTORY, OLD_KEY, SECRETS, Killed, Town

from airfleet import bootstrap_run, gates, pending, standstill
from airfleet import secrets as secret_store
from airfleet.errors import ApplyFailed, ChangesPending, FleetError, GateRefused, NotHealthy, UsageError
from airfleet.rotate import Wish, rotate
from airfleet.rotations import ROTATIONS, half_done

NAMES = tuple(ROTATIONS)


@pytest.fixture
def built(install, monkeypatch, tmp_path):
    """Return a function that builds the town anew, with these secrets in its file."""
    towns = []

    def current():
        return towns[-1]

    def build(secrets=SECRETS):
        install(INVENTORY, lambda *words: current().host(*words), secrets)
        towns.append(Town(tmp_path))
        return towns[-1]

    save = secret_store.save

    def saved(path, known, gone=()):
        towns[-1].step_over()
        save(path, known, gone)
        towns[-1].step_over()

    monkeypatch.setattr(secret_store, "save", saved)
    monkeypatch.setattr(bootstrap_run, "converge_to", lambda *words, **more: current().converge(*words, **more))
    monkeypatch.setattr(pending, "pending", lambda target, fleet: towns[-1].pending)
    monkeypatch.setattr(gates, "constraints_of", lambda found: {})
    monkeypatch.setattr(standstill, "POLL_S", 0)
    return build


def run(town, name, **wish):
    rotate("", name, Wish(**wish), town)


def ended(town, name):
    """Everything has the new value, and nothing of the old one is left; all else is as it was."""
    before, after = yaml.safe_load(SECRETS), yaml.safe_load((town.root / "secrets.yaml").read_text())
    assert after.keys() == before.keys()
    assert [each for each in before if before[each] != after[each]] == [name]
    assert {each: town.value(each) for each in after} == after
    assert town.lets_in == {after["redis_password"]}
    assert town.role == after["database_password"]
    assert set(town.rows) == {after["fernet_key"]}
    assert not town.stopped
    assert all(town.consuming.values())


@pytest.mark.parametrize("name", NAMES)
def test_a_secret_gets_another_value_and_nothing_fails_on_the_way(built, name):
    """The town itself refuses whatever would fail; the history has it, and no value is told."""
    town = built()
    run(town, name)
    ended(town, name)
    assert {(e["doing"], e["service"], e["result"]) for e in town.entries} == {("secrets.rotate", name, "done")}
    told = "\n".join([*town.said, *map(str, town.entries)])
    assert not [value for value in town.file().values.values() if value.reveal() in told]
    assert (town.root / "secrets.yaml").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("end", "name"),
    [
        *((Killed, name) for name in NAMES),
        *((ApplyFailed, name) for name in ("redis_password", "database_password", "jwt_secret")),
        (KeyboardInterrupt, "database_password"),
    ],
)
def test_cut_short_at_any_step_the_next_run_ends_it(built, name, end):
    """With the value that it began with; also where somebody bootstraps in between."""
    last = cut = 0
    while True:
        last += 1
        town = built()
        town.last, town.end = last, end
        try:
            run(town, name)
            break
        except (Killed, FleetError, KeyboardInterrupt) as e:
            cut, error = cut + 1, e
        left = town.file()
        begun = half_done(left)
        assert not begun or isinstance(error, Killed) or f"fab secrets.rotate {name} goes on" in str(error)
        if last % 2:
            with suppress(FleetError):
                town.brought_to(left)
        if begun:
            expected = left.values.get(name + "_next", left[name])
        run(town, name)
        ended(town, name)
        if begun:
            assert town.file()[name] == expected
    assert cut >= len(ROTATIONS[name].phases)


def test_what_is_not_done_is_put_back_before_the_password_is_changed(built):
    """Tasks that hold out: the schedulers are started again, the workers take tasks, and it says what to do."""
    town = built()
    town.last, town.end = 0, ApplyFailed
    town.consuming["b"] = True
    held = {"outcome": "held", "waited_s": 5.0, "holding": [], "unnamed": 2, "lost": ""}
    answer = type(town.host("b", None, None)).answer
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            type(town.host("b", None, None)),
            "answer",
            lambda host, name, words: held if (host.name, name) == ("b", "drain") else answer(host, name, words),
        )
        with pytest.raises(FleetError) as stopped:
            run(town, "database_password")
    assert "everything runs as before, with the old secret" in stopped.value.state
    assert "half done: fab secrets.rotate database_password goes on" in stopped.value.state
    assert (town.role, town.stopped, town.consuming) == ("pw-of-db", set(), {"a": True, "b": True})
    run(town, "database_password")
    ended(town, "database_password")


def test_the_old_value_stays_while_a_process_uses_it(built):
    """A drop-in gives one unit another URL: it is named, and Redis goes on to take the old password."""
    town = built()
    odd = {"digests": {"airflow.cfg": {}, "airflow-worker@1.service": {"broker_url": "another"}}}
    town.odd = {"b": {"effective": odd}}
    with pytest.raises(NotHealthy) as refused:
        run(town, "redis_password")
    assert "airflow-worker@1.service has another broker_url" in str(refused.value)
    assert len(town.lets_in) == 2
    town.odd = {}
    run(town, "redis_password")
    ended(town, "redis_password")


def test_a_host_that_cannot_be_looked_at_is_not_verified(built):
    """What is not known is never a good value."""
    town = built()
    town.odd = {"a": {"stores": None, "unknown": {"stores": "no space left"}}}
    with pytest.raises(NotHealthy, match="could not look: no space left"):
        run(town, "flower_password")


def test_what_neither_key_reads_is_named(built):
    """Before the first step, since it could never be ended."""
    town = built()
    town.rows[3] = "x" * 43 + "="
    with pytest.raises(GateRefused, match="the key of now can't read variable x"):
        run(town, "fernet_key")
    assert town.file().values == secret_store.load(town.root / "secrets.yaml", {}).values
    assert not half_done(town.file())


def test_it_begins_only_where_hosts_are_in_order_and_goes_on_wherever(built):
    """What else would change is not changed in passing."""
    town = built()
    town.pending = ["a: file /x: content"]
    with pytest.raises(GateRefused, match="a: file /x: content"):
        run(town, "redis_password")
    assert not half_done(town.file())
    town.pending, town.last = [], 12
    with pytest.raises(Killed):
        run(town, "redis_password")
    town.pending = ["a: file /x: content"]
    run(town, "redis_password")
    ended(town, "redis_password")


def test_a_dry_run_prints_what_is_still_to_come_and_contacts_nobody(built):
    """All phases; once begun, those that are left. Exit 10."""
    town = built()
    with pytest.raises(ChangesPending) as pending:
        run(town, "redis_password", dry_run=True)
    assert pending.value.exit_code == 10
    assert sum(line.startswith("  ") and ". " in line for line in town.said) == len(ROTATIONS["redis_password"].phases)
    assert town.calls == []
    text = SECRETS + "redis_password_previous: older\n"
    town = built(text)
    with pytest.raises(ChangesPending, match="4 phases to come"):
        run(town, "redis_password", dry_run=True)
    assert "goes on with the rotation of redis_password" in town.said[0]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("deploy_key", "deploy_key is not rotated by airfleet — write the new key into the secrets file"),
        ("redis", "there is no secret 'redis' to rotate"),
    ],
)
def test_what_is_not_rotated_says_what_to_do(built, name, says):
    """Exit 2, and nothing is contacted."""
    town = built()
    with pytest.raises(UsageError) as refused:
        run(town, name)
    assert says.split(" — ")[0] in str(refused.value)
    assert town.calls == []


def test_a_secret_of_the_environment_is_refused(built, monkeypatch):
    """Its new value could not be kept."""
    town = built()
    monkeypatch.setenv("AIRFLEET_SECRET_REDIS_PASSWORD", "from-outside")
    with pytest.raises(UsageError, match="comes from the environment"):
        run(town, "redis_password")
    assert town.calls == []


def test_secrets_that_are_kept_elsewhere_are_refused(built, monkeypatch):
    """How far it came could not be kept beside them: it says the way."""
    town, load = built(), secret_store.load
    monkeypatch.setattr(secret_store, "load", lambda *words: replace(load(*words), file="Secret Manager of team"))
    with pytest.raises(UsageError) as refused:
        run(town, "redis_password")
    assert "Secret Manager of team: is where the secrets are kept" in str(refused.value)
    assert "fab secrets.pull" in refused.value.remedy
    assert town.calls == []


def test_one_rotation_at_a_time(built):
    """Another one that is half done is named first."""
    town = built(SECRETS + "flower_password_previous: older\n")
    with pytest.raises(GateRefused, match="flower_password is half rotated"):
        run(town, "redis_password")


def test_a_value_from_stdin(built, monkeypatch):
    """One line; it is the one that is in use afterwards. A wrong one is refused without a word of it."""
    for given, says in (("a한b\n", "beyond ASCII"), ("pw-of-db\n", "is the value of now"), ("\n", "is empty")):
        town = built()
        monkeypatch.setattr(sys, "stdin", io.StringIO(given))
        with pytest.raises(UsageError, match=says):
            run(town, "database_password", from_stdin=True)
    monkeypatch.setattr(sys, "stdin", io.StringIO("of my own\n"))
    run(town, "database_password", from_stdin=True)
    ended(town, "database_password")
    assert town.role == "of my own"
    town = built(SECRETS + "redis_password_next: made\n")
    with pytest.raises(UsageError, match="goes on with the value that it began with"):
        run(town, "redis_password", from_stdin=True)


def test_airflow_2_has_no_secret_of_tokens(built, install, tmp_path):
    """Refused by name."""
    town = built()
    text = (tmp_path / "inventory.yaml").read_text().replace("3.3.2", "2.11.2")
    (tmp_path / "inventory.yaml").write_text(text)
    with pytest.raises(UsageError, match="Airflow 2 has no jwt_secret"):
        run(town, "jwt_secret")
    assert OLD_KEY in SECRETS
