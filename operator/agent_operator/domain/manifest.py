"""Names for Kubernetes objects: manifests, keys, references and the closed list of owned kinds."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, NamedTuple

Manifest = Mapping[str, Any]


class ObjectKey(NamedTuple):
    """Namespace and name of an AgentDeployment: what the work queue holds."""

    namespace: str
    name: str


class KindInfo(NamedTuple):
    """How a kind is addressed: apiVersion, kind and plural."""

    api_version: str
    kind: str
    plural: str


class Kind(Enum):
    """Every kind the operator may write; nothing outside this list is ever touched."""

    CONTROLLER_REVISION = KindInfo("apps/v1", "ControllerRevision", "controllerrevisions")
    CONFIG_MAP = KindInfo("v1", "ConfigMap", "configmaps")
    SECRET = KindInfo("v1", "Secret", "secrets")
    SERVICE = KindInfo("v1", "Service", "services")
    DEPLOYMENT = KindInfo("apps/v1", "Deployment", "deployments")
    AUTOSCALER = KindInfo("autoscaling/v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers")
    DISRUPTION_BUDGET = KindInfo("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets")
    ROUTE = KindInfo("gateway.networking.k8s.io/v1", "HTTPRoute", "httproutes")

    @staticmethod
    def of(manifest: Manifest) -> "Kind":
        """Return the kind of a manifest; KeyError for a kind that is not ours to write."""
        return _BY_NAME[manifest["apiVersion"], manifest["kind"]]


_BY_NAME = {(kind.value.api_version, kind.value.kind): kind for kind in Kind}


@dataclass(frozen=True, slots=True)
class ObjectRef:
    """One object of a kind we own."""

    kind: Kind
    namespace: str
    name: str

    @staticmethod
    def of(manifest: Manifest) -> "ObjectRef":
        """Return the reference of a manifest."""
        metadata = manifest["metadata"]
        return ObjectRef(Kind.of(manifest), metadata["namespace"], metadata["name"])
