"""Credentials and configuration files of a cluster's servers, from its name and its network."""

from __future__ import annotations

import json
import resource
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from localcluster.credentials import Accounts, Authority
from localcluster.folders import StateFolder
from localcluster.network import Network

API_PORT = 6443
PAUSE_IMAGE = "localhost/agentdeploy-pause:1"
# Paths inside the namespaces, where /run and /var/lib are the cluster's own.
CONTAINERD_SOCKET = "/run/containerd/containerd.sock"
CONTAINERD_STORE = "/var/lib/containerd"
KUBELET_FOLDER = "/var/lib/kubelet"
SYSTEM_USERS = ("controllers", "scheduler", "kubelet", "proxy", "dns")
USERS = {
    "admin": ("admin", "system:masters"),
    "controllers": ("system:kube-controller-manager", "system:masters"),
    "scheduler": ("system:kube-scheduler", "system:kube-scheduler"),
    "kubelet": ("system:node:{node}", "system:nodes"),
    "proxy": ("system:kube-proxy", "system:kube-proxy"),
    "dns": ("system:coredns", "system:masters"),
}


@dataclass(frozen=True)
class ClusterSpec:
    """What the builders below need to know of a cluster."""

    state: StateFolder
    network: Network
    control_plane_only: bool

    def file(self, name: str) -> str:
        """Path of a configuration file."""
        return str(self.state.configuration / name)

    def pki(self, name: str) -> str:
        """Path of a key or certificate."""
        return str(self.state.pki / name)

    @property
    def server(self) -> str:
        """Address of the API server."""
        return f"https://{self.network.node}:{API_PORT}"


def write_credentials(spec: ClusterSpec) -> None:
    """Make keys, certificates, the list of tokens and the kubeconfigs."""
    network, node = spec.network, spec.state.node
    authority = Authority(spec.state.pki, node)
    authority.key("sa")
    service = ("kubernetes", "kubernetes.default", "kubernetes.default.svc")
    names = [f"DNS:{name}" for name in (*service, f"{service[-1]}.cluster.local", "localhost")]
    addresses = [f"IP:{ip}" for ip in (network.node, network.api_service, "127.0.0.1")]
    authority.sign("apiserver", subject="/CN=kube-apiserver", hosts=(*names, *addresses))
    authority.sign("apiserver-client", subject="/O=system:masters/CN=kube-apiserver-kubelet-client")
    authority.sign("front-proxy", subject="/CN=front-proxy")
    hosts = (f"DNS:{node}", f"IP:{network.node}")
    authority.sign("kubelet", subject=f"/CN=system:node:{node}", hosts=hosts)
    accounts = Accounts(
        Path(spec.pki("tokens.csv")),
        server=spec.server,
        authority=authority.certificate,
        context=node,
    )
    for name, (user, group) in USERS.items():
        kubeconfig = Path(spec.file(f"{name}.kubeconfig"))
        accounts.add(user.format(node=node), group, kubeconfig=kubeconfig)


def configuration(spec: ClusterSpec) -> dict[str, str]:
    """Return the content of every configuration file by its name."""
    files: dict[str, Any] = {
        "kubelet.yaml": _kubelet_configuration(spec),
        "proxy.yaml": _proxy_configuration(spec),
        "audit.yaml": _audit_policy(spec),
        "cni/10-ptp.conflist": _cni_configuration(spec),
    }
    texts = {name: json.dumps(content, indent=1) for name, content in files.items()}
    texts["containerd.toml"] = _containerd_configuration(spec)
    texts["resolv.conf"] = f"nameserver {spec.network.node}\n"
    texts["Corefile"] = _corefile(spec)
    return texts


def _audit_policy(spec: ClusterSpec) -> dict[str, Any]:
    """Log what people and operators ask of the API server, not what the node itself does."""
    system = [USERS[name][0].format(node=spec.state.node) for name in SYSTEM_USERS]
    return {
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived", "ResponseStarted"],
        "rules": [
            {"level": "None", "users": [*system, "system:apiserver", "system:anonymous"]},
            {"level": "Metadata"},
        ],
    }


def _kubelet_configuration(spec: ClusterSpec) -> dict[str, Any]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "failCgroupV1": False,  # cgroup v1 is refused by default since 1.35
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{spec.state.node}",
        "containerRuntimeEndpoint": f"unix://{CONTAINERD_SOCKET}",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": spec.pki("ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": spec.pki("kubelet.crt"),
        "tlsPrivateKeyFile": spec.pki("kubelet.key"),
        "clusterDNS": [spec.network.node],
        "clusterDomain": "cluster.local",
        "resolvConf": spec.file("resolv.conf"),
        "failSwapOn": False,
        "maxOpenFiles": resource.getrlimit(resource.RLIMIT_NOFILE)[1],
        "evictionHard": {
            "memory.available": "200Mi",
            "nodefs.available": "1%",
            "imagefs.available": "1%",
        },
        "imageGCHighThresholdPercent": 100,  # nothing could be pulled again
        "systemReserved": {"memory": "2Gi"},
    }


def _proxy_configuration(spec: ClusterSpec) -> dict[str, Any]:
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "clientConnection": {"kubeconfig": spec.file("proxy.kubeconfig")},
        "clusterCIDR": spec.network.pods,
        "hostnameOverride": spec.state.node,
        # Leave the machine's limits alone.
        "conntrack": {
            "maxPerCore": 0,
            "min": 0,
            "tcpEstablishedTimeout": "0s",
            "tcpCloseWaitTimeout": "0s",
        },
    }


def _cni_configuration(spec: ClusterSpec) -> dict[str, Any]:
    addresses = {
        "type": "host-local",
        "dataDir": "/run/cni-ipam",
        "ranges": [[{"subnet": spec.network.pods}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    ports = {"type": "portmap", "capabilities": {"portMappings": True}}
    plugins = [{"type": "ptp", "ipam": addresses}, ports]
    return {"cniVersion": "1.0.0", "name": "pods", "plugins": plugins}


def _containerd_configuration(spec: ClusterSpec) -> str:
    unused = ", ".join(
        f'"io.containerd.snapshotter.v1.{name}"' for name in ("btrfs", "zfs", "devmapper", "aufs")
    )
    return f"""\
version = 2
root = "{CONTAINERD_STORE}"
state = "/run/containerd"
oom_score = 0
disabled_plugins = [{unused}]
[grpc]
  address = "{CONTAINERD_SOCKET}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE_IMAGE}"
  restrict_oom_score_adj = true  # without CAP_SYS_RESOURCE scores can only be raised
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{spec.file("cni")}"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = false
"""


def _corefile(spec: ClusterSpec) -> str:
    """Answer names of the cluster; all others do not exist, since pods reach nothing outside."""
    return f"""\
cluster.local:53 in-addr.arpa:53 {{
  bind {spec.network.node}
  errors
  kubernetes cluster.local in-addr.arpa {{
    kubeconfig {spec.file("dns.kubeconfig")}
    pods insecure
    ttl 5
  }}
  cache 5
}}
.:53 {{
  bind {spec.network.node}
  template ANY ANY {{
    rcode NXDOMAIN
  }}
}}
"""
