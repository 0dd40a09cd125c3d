"""What kopf calls: a login and one watch-event handler that only passes events on."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import kopf

from agent_operator.adapters.connection import Connection
from agent_operator.api.v1alpha1 import GROUP, PLURAL, VERSION

AgentEvent = Mapping[str, Any]
"""A raw watch event: `type` (None when listed, ADDED, MODIFIED, DELETED) and `object`."""

OnAgentEvent = Callable[[AgentEvent], None]


def registry(
    connection: Connection,
    on_agent_event: OnAgentEvent,
    *,
    on_cleanup: Callable[[], Awaitable[None]],
) -> kopf.OperatorRegistry:
    """Return the registry with everything kopf is to call."""
    handlers = kopf.OperatorRegistry()

    @kopf.on.login(registry=handlers)
    async def log_in(**_: Any) -> kopf.ConnectionInfo:
        await connection.reload()
        return await _connection_info(connection)

    @kopf.on.event(GROUP, VERSION, PLURAL, registry=handlers)
    async def observe(event: AgentEvent, **_: Any) -> None:
        on_agent_event(event)

    @kopf.on.cleanup(registry=handlers, retries=1)
    async def clean_up(**_: Any) -> None:
        await on_cleanup()

    return handlers


async def _connection_info(connection: Connection) -> kopf.ConnectionInfo:
    known = connection.configuration
    scheme, token = await connection.authorization() or (None, None)
    return kopf.ConnectionInfo(
        server=known.host,
        ca_path=known.ssl_ca_cert,
        insecure=not known.verify_ssl,
        scheme=scheme,
        token=token,
        certificate_path=known.cert_file,
        private_key_path=known.key_file,
        proxy_url=known.proxy,
    )
