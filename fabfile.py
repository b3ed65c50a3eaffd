"""The doors: every command of airfleet in one namespace, nothing else. `fab --list` shows them."""

from fabric.main import program
from invoke import Collection

from tasks import (
    airflow,
    backup,
    bootstrap,
    commands,
    deploy,
    door,
    firewall,
    host_keys,
    incident,
    inventory,
    logs,
    maintenance,
    retire,
    sandbox,
    secrets,
    services,
    status,
    upgrade,
    users,
    workers,
)

door.strict(program)
namespace = Collection()
namespace.add_task(bootstrap.bootstrap)
namespace.add_task(bootstrap.plan)
namespace.add_task(deploy.deploy)
namespace.add_task(deploy.rollback)
namespace.add_task(deploy.releases)
namespace.add_task(deploy.history)
namespace.add_task(upgrade.upgrade)
namespace.add_task(upgrade.undo_upgrade)
namespace.add_task(commands.commands)
namespace.add_task(status.status)
namespace.add_task(status.doctor)
namespace.add_task(incident.incident)
namespace.add_task(firewall.firewall)
namespace.add_task(host_keys.host_keys)
namespace.add_task(status.runbook)
namespace.add_task(status.runbooks)
namespace.add_task(workers.restart_workers)
namespace.add_task(workers.scale_workers)
namespace.add_task(workers.drain_workers)
namespace.add_task(workers.resume_workers)
namespace.add_task(retire.retire)
namespace.add_task(services.start)
namespace.add_task(services.stop)
namespace.add_task(services.restart)
namespace.add_task(logs.logs)
namespace.add_task(logs.task_log)
namespace.add_task(logs.verify_logs)
namespace.add_task(airflow.airflow)
namespace.add_task(airflow.shell)
namespace.add_collection(Collection.from_module(backup))
namespace.add_collection(Collection.from_module(inventory))
namespace.add_collection(Collection.from_module(maintenance))
namespace.add_collection(Collection.from_module(sandbox))
namespace.add_collection(Collection.from_module(secrets))
namespace.add_collection(Collection.from_module(users))
