"""First process of a cluster's namespaces: `python -m localcluster.node STATE_FOLDER`.

Prepares mounts, network and cgroups, starts the servers of the plan in stages, starts each again
when it ends, and reaps orphans. Killing this process ends everything in the namespaces.
"""

from __future__ import annotations

import sys

from localcluster.folders import StateFolder
from localcluster.node.preparation import prepare
from localcluster.node.supervisor import Supervisor

if __name__ == "__main__":
    plan = prepare(StateFolder.at(sys.argv[1]))
    Supervisor(plan).run()
