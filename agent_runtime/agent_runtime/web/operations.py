"""The operations port: metrics and a detailed health page, never routed to clients."""

import time

import psutil
from fastapi import FastAPI
from prometheus_client.exposition import choose_encoder
from starlette.requests import Request
from starlette.responses import Response

from agent_runtime.runtime import Runtime


def create_operations_app(runtime: Runtime) -> FastAPI:
    """Build the ASGI application of the operations port."""
    app = FastAPI(title="agent_runtime operations", docs_url=None, redoc_url=None)
    process = psutil.Process()
    # The first reading only sets the mark from which the next one counts.
    process.cpu_percent(interval=None)

    @app.get("/metrics")
    async def metrics(request: Request) -> Response:
        """Expose every series in the format the scraper prefers."""
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(runtime.metrics.registry), media_type=content_type)

    @app.get("/health/detailed")
    async def detailed() -> dict[str, object]:
        """Tell what the process uses and runs; CPU since the last call, without blocking."""
        settings = runtime.settings
        return {
            "status": runtime.readiness.status,
            "ready": runtime.readiness.status == "ready",
            "uptime_seconds": round(time.monotonic() - runtime.started, 3),
            "memory_rss_mb": round(process.memory_info().rss / 2**20, 1),
            "cpu_percent": process.cpu_percent(interval=None),
            "session_store": "redis" if settings.infra.redis_url else "process",
            "revision": settings.identity.revision,
            "prompt_version": settings.agent.prompt_version,
            "model": settings.model.name,
            "fallback_model": settings.model.fallback or None,
        }

    return app
