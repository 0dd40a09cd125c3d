"""Where the API server is and who we are there: in the cluster or by kubeconfig."""

import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from kubernetes.aio.client import ApiClient, Configuration
from kubernetes.aio.config import (
    ConfigException,
    load_incluster_config,
    load_kube_config,
)

from agent_operator.errors import AccessDenied

USER_AGENT = "agent-operator"


@dataclass(frozen=True, slots=True)
class Connection:
    """An API client and the way to read its credentials again."""

    client: ApiClient
    reload: Callable[[], Awaitable[None]]

    @property
    def configuration(self) -> Configuration:
        """Return server, certificates and token as the client uses them."""
        configuration: Configuration = self.client.configuration
        return configuration

    async def authorization(self) -> tuple[str, str] | None:
        """Return scheme and token as of now; None with client certificates only."""
        header = await self.configuration.get_api_key_with_prefix("BearerToken")
        if not header:
            return None
        scheme, _, token = header.partition(" ")
        return scheme, token

    async def close(self) -> None:
        """Close every connection to the server."""
        await self.client.close()  # type: ignore[no-untyped-call]


async def connect(*, kubeconfig: str | None = None, context: str | None = None) -> Connection:
    """Return a connection: the given kubeconfig, else the pod's ServiceAccount, else the default.

    Raises AccessDenied when none of them can be used.
    """
    configuration = Configuration(
        connection_pool_maxsize=0,  # requests are bounded by `ApiServer`, watches come on top
        # Without this every request looks for proxy settings in a thread of its own.
        client_session_kwargs={"trust_env": False},
    )

    async def reload() -> None:
        await _load(configuration, kubeconfig=kubeconfig, context=context)

    await reload()
    client = ApiClient(configuration)
    client.user_agent = USER_AGENT
    return Connection(client, reload)


async def _load(
    configuration: Configuration, *, kubeconfig: str | None, context: str | None
) -> None:
    in_cluster = not kubeconfig and not context and "KUBERNETES_SERVICE_HOST" in os.environ
    try:
        if in_cluster:
            load_incluster_config(configuration)  # type: ignore[no-untyped-call]
        else:
            await load_kube_config(  # type: ignore[no-untyped-call]
                config_file=kubeconfig,
                context=context,
                client_configuration=configuration,
                persist_config=False,
            )
    except (ConfigException, OSError, ValueError) as error:
        source = "ServiceAccount of this pod" if in_cluster else kubeconfig or "default kubeconfig"
        raise AccessDenied(f"cannot log in to the API server with the {source}: {error}") from error
