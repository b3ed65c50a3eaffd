"""Which phases a rotation has left, and what the secrets file says at each."""

from __future__ import annotations

import pytest

from airfleet import redis_access, redis_conf, secrets
from airfleet.checkup import SETTINGS
from airfleet.errors import UsageError
from airfleet.rotations import ORDER, ROTATIONS, advanced, half_done, new_value, remaining, state_of, unverified
from airfleet.secret_forms import DROPPED, MARKS, NEXT, PREVIOUS, ROTATED, problem_of
from airfleet.secrets import Secret, Secrets

OLD, NEW = Secret("the old one"), Secret("the new one")


@pytest.mark.parametrize("name", ROTATED)
def test_every_rotated_secret_has_its_phases_in_order(name):
    """The file never goes back, the old value is dropped behind a verification, and what is made is well formed."""
    phases = ROTATIONS[name].phases
    states = [ORDER.index(phase.state) for phase in phases]
    assert states == sorted(states)
    verified = [phase.name for phase in phases].index("verify")
    assert all(phase.state != DROPPED for phase in phases[: verified + 1])
    assert set(ROTATIONS[name].settings) <= set(SETTINGS)
    assert problem_of(name, new_value(name).reveal()) is None
    assert new_value(name) != new_value(name)


def test_the_file_goes_from_one_state_to_the_next():
    """The new value is written down before anybody gets it; the old one is kept until nobody uses it."""
    known = Secrets({"redis_password": OLD, "deploy_key": Secret("k")})
    seen = []
    for state in (NEXT, PREVIOUS, DROPPED, ""):
        known = advanced(known, "redis_password", state, NEW)
        assert state_of(known, "redis_password") == state
        seen.append({name: known[name] for name in known.present() if name.startswith("redis")})
        assert "deploy_key" in known
    assert seen == [
        {"redis_password": OLD, "redis_password_next": NEW},
        {"redis_password": NEW, "redis_password_previous": OLD},
        {"redis_password": NEW, "redis_password_dropped": OLD},
        {"redis_password": NEW},
    ]


def test_it_goes_on_with_the_phase_that_was_cut_short():
    """And with no earlier one."""
    known = Secrets({"fernet_key": OLD, "fernet_key_previous": NEW})
    assert remaining(known, "fernet_key") == ROTATIONS["fernet_key"].phases[1:]
    assert half_done(known) == ("fernet_key",)
    assert half_done(Secrets({"fernet_key": OLD})) == ()


def test_airflow_and_redis_accept_two_values_in_the_middle_and_one_afterwards():
    """The first of Airflow's keys is the one that it stores under."""
    for mark, keys in ((NEXT, "a,b"), (PREVIOUS, "a,b"), (DROPPED, "a")):
        known = Secrets(
            {
                name + more: value
                for name in ("fernet_key", "redis_password")
                for more, value in (("", Secret("a")), (mark, Secret("b")))
            }
        )
        assert known.fernet_key.reveal() == keys
        rules = redis_access.rules(*redis_conf.accepted(known))
        assert len([word for word in rules if word.startswith("#")]) == (2 if "," in keys else 1)


def test_the_marks_are_read_and_written_and_go_again(tmp_path):
    """They are secrets like the others: private, masked, and gone from the file when the rotation has ended."""
    file = tmp_path / "secrets.yaml"
    file.write_text("# mine\nredis_password: the old one\ndatabase_password: x1234  # c\n")
    file.chmod(0o600)
    known = secrets.load(file, {})
    secrets.save(file, advanced(known, "redis_password", PREVIOUS, NEW))
    read = secrets.load(file, {})
    assert read.present() == ("redis_password", "database_password", "redis_password_previous")
    assert "the old one" not in read.mask("was the old one")
    secrets.save(file, advanced(read, "redis_password", ""))
    assert secrets.load(file, {}).present() == read.present()
    secrets.save(file, advanced(read, "redis_password", ""), gone=["redis_password_previous"])
    assert file.read_text() == '# mine\ndatabase_password: x1234  # c\nredis_password: "the new one"\n'
    with pytest.raises(UsageError, match="is not a Fernet key"):
        secrets.load(file, {"AIRFLEET_SECRET_FERNET_KEY_NEXT": "short"})
    assert set(secrets.complete(Secrets({})).present()) & set(MARKS) == set()


def test_what_speaks_against_a_host():
    """A connection that is refused, a process with another value, what could not be looked at."""
    good = {"ok": True, "says": "in"}
    answer = {
        "stores": {
            "redis": {"airflow.cfg": good, "u.service": {"ok": False, "says": "no"}},
            "database": {"x": {"ok": None, "says": "?"}},
        },
        "effective": {"digests": {"airflow.cfg": {"broker_url": "d"}, "u.service": {"broker_url": "e"}, "redis": {}}},
    }
    assert unverified(answer, {"broker_url": "d"}, ("broker_url",)) == [
        "a new connection with what u.service says: no",
        "a new connection with what x says: ?",
        "u.service has another broker_url",
    ]
    assert unverified({"stores": {}, "effective": None, "unknown": {"effective": "why"}}, {}, ()) == [
        "could not look: why"
    ]
