"""Finds how this machine reaches the Gateway: its address, its Service or a forwarded port."""

from __future__ import annotations

import json
import re
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from demo.cluster import kubectl_command
from demo.errors import DemoError
from localcluster import AnyCluster

NAMESPACE = "gateways"
GATEWAY = "public"
SERVICE = "envoy"
PORT = 80
CONNECT_SECONDS = 1.0


@contextmanager
def entrance(cluster: AnyCluster) -> Iterator[str]:
    """Give the URL of the Gateway; a forwarded port ends with the context."""
    for address in _addresses(cluster):
        if _is_reachable(address):
            yield f"http://{address}:{PORT}"
            return
    with _forwarded(cluster) as url:
        yield url


def _addresses(cluster: AnyCluster) -> list[str]:
    gateway = json.loads(cluster.kubectl("-n", NAMESPACE, "get", "gateway", GATEWAY, "-o", "json"))
    service = json.loads(cluster.kubectl("-n", NAMESPACE, "get", "service", SERVICE, "-o", "json"))
    published = [each["value"] for each in gateway.get("status", {}).get("addresses", [])]
    return [*published, service["spec"]["clusterIP"]]


def _is_reachable(address: str) -> bool:
    try:
        socket.create_connection((address, PORT), timeout=CONNECT_SECONDS).close()
    except OSError:
        return False
    return True


@contextmanager
def _forwarded(cluster: AnyCluster) -> Iterator[str]:
    command = kubectl_command(
        cluster, "-n", NAMESPACE, "port-forward", f"service/{SERVICE}", f":{PORT}"
    )
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            first = process.stdout.readline() if process.stdout else ""
            port = re.search(r":(\d+) ->", first)
            if port is None:
                raise DemoError("the Gateway cannot be reached from here, nor a port be forwarded")
            yield f"http://127.0.0.1:{port[1]}"
        finally:
            process.terminate()
