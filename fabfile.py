"""The doors: every command of airfleet in one namespace, nothing else. `fab --list` shows them."""

from invoke import Collection

from tasks import bootstrap, deploy, inventory, sandbox, services, workers

namespace = Collection()
namespace.add_task(bootstrap.bootstrap)
namespace.add_task(bootstrap.plan)
namespace.add_task(deploy.deploy)
namespace.add_task(deploy.rollback)
namespace.add_task(deploy.releases)
namespace.add_task(deploy.history)
namespace.add_task(workers.restart_workers)
namespace.add_task(workers.scale_workers)
namespace.add_task(workers.drain_workers)
namespace.add_task(workers.resume_workers)
namespace.add_task(services.start)
namespace.add_task(services.stop)
namespace.add_task(services.restart)
namespace.add_collection(Collection.from_module(inventory))
namespace.add_collection(Collection.from_module(sandbox))
