"""The doors: every command of airfleet in one namespace, nothing else. `fab --list` shows them."""

from invoke import Collection

from tasks import bootstrap, inventory, sandbox

namespace = Collection()
namespace.add_task(bootstrap.bootstrap)
namespace.add_task(bootstrap.plan)
namespace.add_collection(Collection.from_module(inventory))
namespace.add_collection(Collection.from_module(sandbox))
