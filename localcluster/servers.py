"""Configuration files and command lines of every server of a cluster.

`write_plan` writes one JSON file that the first process of the namespaces (localcluster.node)
carries out; nothing here starts anything.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from localcluster.binaries import binary
from localcluster.configuration import (
    API_PORT,
    CONTAINERD_STORE,
    KUBELET_FOLDER,
    ClusterSpec,
    configuration,
    write_credentials,
)


@dataclass(frozen=True)
class Server:
    """A program to keep running; stage 1 waits for containerd, stage 2 for the API server."""

    name: str
    argv: tuple[str, ...]
    stage: int = 0


def write_plan(spec: ClusterSpec, store: Path) -> None:
    """Write credentials, configuration and the plan; `store` holds containerd's images."""
    for folder in ("logs", "configuration", "pki", "kubelet", "pod_logs"):
        getattr(spec.state, folder).mkdir(parents=True, exist_ok=True, mode=0o700)
    write_credentials(spec)
    for name, content in configuration(spec).items():
        path = Path(spec.file(name))
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)
    servers = _control_plane(spec)
    if not spec.control_plane_only:
        servers += _node(spec)
    binds = {str(spec.state.pod_logs): "/var/log"}
    if not spec.control_plane_only:
        store.mkdir(parents=True, exist_ok=True, mode=0o700)
        binds |= {str(store): CONTAINERD_STORE, str(spec.state.kubelet): KUBELET_FOLDER}
    plan = {
        "node": spec.state.node,
        "host": spec.network.host,
        "address": spec.network.node,
        "logs": str(spec.state.logs),
        "resolv_conf": spec.file("resolv.conf"),
        "kubeconfig": spec.file("admin.kubeconfig"),
        "store": str(store),
        "keep": [str(spec.state.path)],
        "binds": binds,
        "servers": [asdict(server) for server in servers],
    }
    spec.state.plan.write_text(json.dumps(plan, indent=1))


def _flags(**values: str | int) -> tuple[str, ...]:
    return tuple(f"--{name.replace('_', '-')}={value}" for name, value in values.items())


def _control_plane(spec: ClusterSpec) -> list[Server]:
    kube = str(binary("kube-all"))
    etcd = _flags(data_dir="/var/lib/etcd", log_level="warn")
    return [
        Server("etcd", (kube, "etcd", *etcd, "--unsafe-no-fsync")),
        Server("apiserver", (kube, "kube-apiserver", *_api_server_flags(spec))),
        Server("controllers", (kube, *_controller_manager(spec)), stage=2),
    ]


def _api_server_flags(spec: ClusterSpec) -> tuple[str, ...]:
    issuer = "https://kubernetes.default.svc.cluster.local"
    return (
        *_flags(etcd_servers="http://127.0.0.1:2379", secure_port=API_PORT),
        *_flags(advertise_address=spec.network.node),
        *_flags(tls_cert_file=spec.pki("apiserver.crt")),
        *_flags(tls_private_key_file=spec.pki("apiserver.key")),
        *_flags(client_ca_file=spec.pki("ca.crt")),
        *_flags(kubelet_client_certificate=spec.pki("apiserver-client.crt")),
        *_flags(kubelet_client_key=spec.pki("apiserver-client.key")),
        *_flags(kubelet_certificate_authority=spec.pki("ca.crt")),
        *_flags(kubelet_preferred_address_types="InternalIP"),
        *_flags(token_auth_file=spec.pki("tokens.csv"), authorization_mode="Node,RBAC"),
        *_flags(enable_admission_plugins="NodeRestriction", allow_privileged="true"),
        *_flags(service_cluster_ip_range=spec.network.services),
        *_flags(service_account_issuer=issuer),
        *_flags(service_account_signing_key_file=spec.pki("sa.key")),
        *_flags(service_account_key_file=spec.pki("sa.key")),
        *_flags(requestheader_client_ca_file=spec.pki("ca.crt")),
        *_flags(requestheader_allowed_names="front-proxy"),
        *_flags(requestheader_username_headers="X-Remote-User"),
        *_flags(requestheader_group_headers="X-Remote-Group"),
        *_flags(requestheader_extra_headers_prefix="X-Remote-Extra-"),
        *_flags(proxy_client_cert_file=spec.pki("front-proxy.crt")),
        *_flags(proxy_client_key_file=spec.pki("front-proxy.key")),
        *_flags(audit_policy_file=spec.file("audit.yaml")),
        # MB: hours of tests fit into the file they read, and a kept cluster has two of them.
        *_flags(audit_log_maxsize=200, audit_log_maxbackup=1),
        *_flags(audit_log_path=str(spec.state.logs / "audit.log")),
    )


def _client_flags(kubeconfig: str) -> tuple[str, ...]:
    return (
        *_flags(kubeconfig=kubeconfig, authentication_kubeconfig=kubeconfig),
        *_flags(authorization_kubeconfig=kubeconfig, leader_elect="false"),
    )


def _controller_manager(spec: ClusterSpec) -> tuple[str, ...]:
    return (
        "kube-controller-manager",
        *_client_flags(spec.file("controllers.kubeconfig")),
        *_flags(service_account_private_key_file=spec.pki("sa.key")),
        *_flags(root_ca_file=spec.pki("ca.crt")),
        *_flags(cluster_signing_cert_file=spec.pki("ca.crt")),
        *_flags(cluster_signing_key_file=spec.pki("ca.key")),
        *_flags(use_service_account_credentials="false", controllers="*,-nodeipam"),
        # Demo and tests wait for scaling; 15 s is the default.
        *_flags(horizontal_pod_autoscaler_sync_period="5s"),
    )


def _node(spec: ClusterSpec) -> list[Server]:
    kube = str(binary("kube-all"))
    kubelet = (
        *_flags(config=spec.file("kubelet.yaml")),
        *_flags(kubeconfig=spec.file("kubelet.kubeconfig")),
        *_flags(hostname_override=spec.state.node, node_ip=spec.network.node),
    )
    scheduler = _client_flags(spec.file("scheduler.kubeconfig"))
    proxy = _flags(config=spec.file("proxy.yaml"))
    dns = (str(binary("coredns")), "-conf", spec.file("Corefile"))
    return [
        Server("containerd", ("containerd", "-c", spec.file("containerd.toml"))),
        Server("kubelet", (kube, "kubelet", *kubelet), stage=1),
        Server("scheduler", (kube, "kube-scheduler", *scheduler), stage=2),
        Server("proxy", (kube, "kube-proxy", *proxy), stage=2),
        Server("dns", dns, stage=2),
    ]
