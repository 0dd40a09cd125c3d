"""Where the API server is and who we are there: in the cluster or by kubeconfig."""

import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from kubernetes.aio.client import ApiClient, Configuration
from kubernetes.aio.config import load_incluster_config, load_kube_config

from agent_operator.errors import AccessDenied

USER_AGENT = "agent-operator"
REASON_CHARACTERS = 300


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

    in_cluster = not kubeconfig and not context and "KUBERNETES_SERVICE_HOST" in os.environ
    source = "ServiceAccount of this pod" if in_cluster else kubeconfig or "default kubeconfig"

    async def reload() -> None:
        with _clear_refusal(source):
            if in_cluster:
                load_incluster_config(configuration)  # type: ignore[no-untyped-call]
            else:
                await load_kube_config(  # type: ignore[no-untyped-call]
                    config_file=kubeconfig,
                    context=context,
                    client_configuration=configuration,
                    persist_config=False,
                )

    await reload()
    with _clear_refusal(source):
        client = ApiClient(configuration)  # reads the certificates
    client.user_agent = USER_AGENT
    return Connection(client, reload)


@contextmanager
def _clear_refusal(source: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # a broken file fails in the library in any way one can think of
        reason = f"{type(error).__name__}: {error}"[:REASON_CHARACTERS]
        message = f"cannot log in to the API server with the {source}: {reason}"
        raise AccessDenied(message) from error
