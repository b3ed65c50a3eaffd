"""pyinfra's side of the benchmark; executed by pyinfra in an environment of its own."""

from io import StringIO

from pyinfra.operations import apt, files, server, systemd  # type: ignore[import-not-found]

from benchmarks import state

apt.packages(packages=list(state.PACKAGES), _sudo=True)
server.user(user=state.ACCOUNT, home=state.HOME, shell=state.SHELL, system=True, _sudo=True)
for service in state.SERVICES:
    files.put(
        src=StringIO(state.unit_text(service)),
        dest=state.unit_path(service),
        user="root",
        group="root",
        mode="0644",
        _sudo=True,
    )
for service in state.SERVICES:
    systemd.service(service=f"{service}.service", running=True, enabled=True, _sudo=True)
