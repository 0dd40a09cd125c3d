"""The composition root: settings, adapters, controller, kopf. The only place that wires."""

import asyncio
import sys
import time
from collections.abc import Coroutine, Sequence
from typing import Any

import structlog
import uvloop

from agent_operator import __version__
from agent_operator.adapters.access import check_access
from agent_operator.adapters.apiserver import ApiServer
from agent_operator.adapters.cluster import Cluster
from agent_operator.adapters.connection import Connection, connect
from agent_operator.adapters.events import Events
from agent_operator.adapters.informer import Informer, Scope
from agent_operator.adapters.prometheus import Prometheus
from agent_operator.controller.cache import Cache
from agent_operator.controller.evaluation import Evaluation
from agent_operator.controller.executor import Executor
from agent_operator.controller.reconciler import Reconciler
from agent_operator.controller.resync import Resync
from agent_operator.controller.turn import Outside
from agent_operator.controller.workqueue import WorkQueue
from agent_operator.domain.manifest import ObjectKey
from agent_operator.errors import InvalidSettings, OperatorError
from agent_operator.settings import Settings, from_command_line
from agent_operator.shell import runtime
from agent_operator.shell.handlers import AgentEvent
from agent_operator.telemetry import logging
from agent_operator.telemetry.health import Check, HealthServer
from agent_operator.telemetry.metrics import Metrics

log = structlog.get_logger(__name__)

DEAF_SECONDS = 300.0  # watches are renewed and bookmarked far more often than that


class SystemClock:
    """The machine's clocks."""

    def now(self) -> float:
        """Return Unix seconds."""
        return time.time()

    def monotonic(self) -> float:
        """Return seconds that never go back."""
        return time.monotonic()


class Operator:
    """All parts of one process, wired; `start` and `stop` are kopf's to call."""

    def __init__(self, settings: Settings, server: ApiServer, metrics: Metrics) -> None:
        self._settings = settings
        self._tasks: list[asyncio.Task[None]] = []
        self.stop_flag = asyncio.Event()
        self.has_failed = False
        clock = SystemClock()
        cluster = Cluster(server, namespaces=settings.namespaces)
        self._queue = WorkQueue(
            self._pass, workers=settings.workers, observe_pass=metrics.observe_pass
        )
        metrics.watch_depth(lambda: self._queue.depth)
        self._cache = Cache(self._queue.add)
        self._informer = Informer(
            server, self._cache, scope=Scope(namespaces=settings.namespaces, metadata_only=())
        )
        self._prometheus = Prometheus.of(settings)
        self._evaluation = Evaluation(
            self._prometheus,
            clock,
            self._queue.add,
            query_lag_seconds=settings.query_lag_seconds,
            scrape_interval_seconds=settings.scrape_interval_seconds,
            on_error=metrics.observe_evaluation_error,
        )
        self._reconciler = Reconciler(
            Outside(
                cluster,
                cluster,
                Events(server, clock),
                clock,
                metrics.observe_decision,
                metrics.observe_rollback,
            ),
            cache=self._cache,
            executor=Executor(cluster, cluster, cluster, self._cache),
            evaluation=self._evaluation,
            shortest_interval_seconds=settings.scrape_interval_seconds,
        )
        self._resync = Resync(cluster, self._cache, self._queue.add)
        self._health = HealthServer(
            metrics.registry,
            live=[Check("watches", self._deafness)],
            ready=[Check("caches", self._unlisted)],
            port=settings.health_port,
        )

    def observe_agent(self, event: AgentEvent) -> None:
        """Take a watch event of an AgentDeployment."""
        self._cache.observe_agent(event["type"], event["object"])

    async def start(self) -> None:
        """Listen for probes, list what is owned, then begin to work."""
        try:
            await self._health.start()
        except OSError as error:
            port = self._settings.health_port
            raise InvalidSettings(
                [f"--health-port {port} cannot be listened on: {error.strerror}; give another one"]
            ) from None
        self._spawn(self._informer.run(), "informer")
        await self._informer.synced.wait()
        self._spawn(self._queue.run(), "queue")
        self._spawn(self._evaluation.run(self._settings.tick_seconds), "evaluation")
        self._spawn(self._resync.run(self._settings.resync_seconds), "resync")
        log.info("operator.started", version=__version__, health_port=self._health.port)

    async def stop(self) -> None:
        """End passes that are under way, then everything else."""
        self._queue.close()
        for task in self._tasks:
            if task.get_name() != "queue":
                task.cancel()
        await asyncio.wait(self._tasks, timeout=2.0) if self._tasks else None
        for task in self._tasks:
            task.cancel()
        await self._health.stop()
        self._prometheus.close()
        log.info("operator.stopped")

    async def _pass(self, key: ObjectKey) -> float | None:
        again = await self._reconciler.reconcile(key)
        if self._cache.agent(key) is None:
            self._queue.forget(key)
        return again

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.create_task(work, name=name)
        task.add_done_callback(self._ended)
        self._tasks.append(task)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """End the process when a part of it ends: it starts again whole, not half."""
        if not task.cancelled() and task.exception() is not None:
            log.error("task.failed", task=task.get_name(), exc_info=task.exception())
            self.has_failed = True
        self.stop_flag.set()

    def _deafness(self) -> str:
        seconds = self._informer.stalest_seconds()
        return (
            "" if seconds < DEAF_SECONDS else f"nothing heard of owned objects for {seconds:.0f} s"
        )

    def _unlisted(self) -> str:
        return "" if self._informer.synced.is_set() else "owned objects are still being listed"


async def operate(settings: Settings) -> bool:
    """Run until told to stop; return whether all went well.

    Raises OperatorError when the cluster cannot be worked with.
    """
    metrics = Metrics(__version__)
    connection: Connection = await connect(kubeconfig=settings.kubeconfig, context=settings.context)
    try:
        server = ApiServer(connection, observe=metrics.observe_request)
        await check_access(server, namespaces=settings.namespaces)
        operator = Operator(settings, server, metrics)
        hooks = runtime.Hooks(operator.observe_agent, operator.start, operator.stop)
        await runtime.run(
            connection, hooks, namespaces=settings.namespaces, stop_flag=operator.stop_flag
        )
        return not operator.has_failed
    finally:
        await connection.close()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the operator from the command line; return the exit code."""
    settings = from_command_line(sys.argv[1:] if arguments is None else arguments)
    logging.configure(level=settings.log_level, form=settings.log_format)
    try:
        return 0 if uvloop.run(operate(settings)) else 1
    except OperatorError as error:
        sys.stderr.write(f"agent_operator: {error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())
