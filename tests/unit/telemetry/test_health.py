"""Probes and scrapes over real HTTP."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from agent_operator.telemetry.health import Check, HealthServer
from agent_operator.telemetry.metrics import Metrics


@asynccontextmanager
async def answering(server: HealthServer) -> AsyncIterator[httpx.AsyncClient]:
    await server.start()
    url = f"http://127.0.0.1:{server.port}"
    async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
        yield client
    await server.stop()


async def test_probes_answer_by_their_own_checks() -> None:
    live, ready = Check("watches", lambda: ""), Check("caches", lambda: "still listing")
    server = HealthServer(Metrics("1").registry, live=[live], ready=[ready], port=0)
    async with answering(server) as client:
        healthz, readyz = await client.get("/healthz"), await client.get("/readyz")
    assert (healthz.status_code, healthz.text) == (200, "ok")
    assert (readyz.status_code, readyz.text) == (503, "caches: still listing")


async def test_a_check_is_asked_every_time() -> None:
    problems = ["still listing"]
    check = Check("caches", lambda: problems[0])
    server = HealthServer(Metrics("1").registry, live=[], ready=[check], port=0)
    async with answering(server) as client:
        before = await client.get("/readyz")
        problems[0] = ""
        after = await client.get("/readyz")
    assert (before.status_code, after.status_code) == (503, 200)


async def test_metrics_are_exposed_by_the_names_that_dashboards_use() -> None:
    metrics = Metrics("1.2.3")
    metrics.observe_pass(0.02)
    metrics.watch_depth(lambda: 7)
    metrics.observe_request("PATCH", 409)
    metrics.observe_decision("RollBack", "FallbackRateRegression")
    metrics.observe_rollback(12.0)
    metrics.observe_evaluation_error("TimedOut")
    server = HealthServer(metrics.registry, live=[], ready=[], port=0)
    async with answering(server) as client:
        text = (await client.get("/metrics")).text
    for line in (
        "agentdeploy_reconcile_duration_seconds_count 1.0",
        "agentdeploy_workqueue_depth 7.0",
        'agentdeploy_api_requests_total{code="409",verb="PATCH"} 1.0',
        'agentdeploy_decisions_total{action="RollBack",reason="FallbackRateRegression"} 1.0',
        "agentdeploy_rollback_latency_seconds_count 1.0",
        'agentdeploy_evaluation_errors_total{reason="TimedOut"} 1.0',
        'agentdeploy_info{version="1.2.3"} 1.0',
    ):
        assert line in text.splitlines()


async def test_a_port_that_is_taken_is_an_error() -> None:
    registry = Metrics("1").registry
    first = HealthServer(registry, live=[], ready=[], port=0)
    async with answering(first):
        second = HealthServer(registry, live=[], ready=[], port=first.port)
        with pytest.raises(OSError, match="in use"):
            await second.start()
        await second.stop()
