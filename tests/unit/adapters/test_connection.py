"""Logging in: by kubeconfig, by context, in the cluster, or a clear refusal."""

import json
from pathlib import Path
from typing import Any

import pytest
from kubernetes.aio.config import incluster_config

from agent_operator.adapters.connection import connect
from agent_operator.errors import AccessDenied


@pytest.fixture(autouse=True)
def outside_of_clusters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.delenv("KUBERNETES_SERVICE_PORT", raising=False)


def kubeconfig(path: Path, **user: Any) -> str:
    """Write a kubeconfig with the contexts one and two; JSON is YAML."""
    contexts = [
        {"name": name, "context": {"cluster": name, "user": "me"}} for name in ("one", "two")
    ]
    servers = [
        {"name": name, "cluster": {"server": f"http://{name}.example.com"}}
        for name in ("one", "two")
    ]
    config = {"apiVersion": "v1", "kind": "Config", "current-context": "one"}
    content = {**config, "clusters": servers, "contexts": contexts}
    path.write_text(json.dumps({**content, "users": [{"name": "me", "user": user}]}))
    return str(path)


async def test_a_kubeconfig_gives_server_and_token(tmp_path: Path) -> None:
    connection = await connect(kubeconfig=kubeconfig(tmp_path / "config", token="secret"))
    assert connection.configuration.host == "http://one.example.com"
    assert await connection.authorization() == ("Bearer", "secret")
    await connection.close()


async def test_a_context_chooses_another_server(tmp_path: Path) -> None:
    file = kubeconfig(tmp_path / "config", token="secret")
    connection = await connect(kubeconfig=file, context="two")
    assert connection.configuration.host == "http://two.example.com"
    await connection.close()


async def test_without_a_token_there_is_no_authorization(tmp_path: Path) -> None:
    connection = await connect(kubeconfig=kubeconfig(tmp_path / "config"))
    assert await connection.authorization() is None
    await connection.close()


async def test_credentials_can_be_read_again(tmp_path: Path) -> None:
    path = tmp_path / "config"
    connection = await connect(kubeconfig=kubeconfig(path, token="old"))
    kubeconfig(path, token="new")
    await connection.reload()
    assert await connection.authorization() == ("Bearer", "new")
    await connection.close()


async def test_a_pod_uses_its_service_account(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, content in (("token", "of-the-pod"), ("ca.crt", "certificate")):
        (tmp_path / name).write_text(content)
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(tmp_path / "token"))
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(tmp_path / "ca.crt"))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    with pytest.raises(AccessDenied, match=r"ServiceAccount.*SSLError"):
        await connect()  # found, but no certificate
    (tmp_path / "token").unlink()
    with pytest.raises(AccessDenied, match=r"ServiceAccount.*token"):
        await connect()


@pytest.mark.parametrize("content", [None, "", "not: [valid", "{}", "[]"])
async def test_a_kubeconfig_that_is_of_no_use_is_a_clear_refusal(
    tmp_path: Path, content: str | None
) -> None:
    path = tmp_path / "config"
    if content is not None:
        path.write_text(content)
    with pytest.raises(AccessDenied, match="config"):
        await connect(kubeconfig=str(path))


async def test_a_context_that_does_not_exist_is_a_clear_refusal(tmp_path: Path) -> None:
    with pytest.raises(AccessDenied, match="three"):
        await connect(kubeconfig=kubeconfig(tmp_path / "config"), context="three")
