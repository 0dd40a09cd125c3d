"""Where kinds live on the API server, and paged lists of them."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from agent_operator.adapters.apiserver import JSON, AnswerTooLarge, ApiServer, Call
from agent_operator.api.v1alpha1 import GROUP, KIND, PLURAL, VERSION
from agent_operator.domain.manifest import KindInfo

AGENTS = KindInfo(f"{GROUP}/{VERSION}", KIND, PLURAL)
METADATA = f"{JSON};as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
METADATA_LIST = f"{JSON};as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
PAGE_SIZE = 500


def collection_path(info: KindInfo, namespace: str | None) -> str:
    """Return the path of all objects of a kind, in one namespace or (None) in all."""
    root = "api" if "/" not in info.api_version else "apis"
    place = f"/namespaces/{quote(namespace, safe='')}" if namespace is not None else ""
    return f"/{root}/{info.api_version}{place}/{info.plural}"


def object_path(info: KindInfo, namespace: str, name: str) -> str:
    """Return the path of one object."""
    return f"{collection_path(info, namespace)}/{quote(name, safe='')}"


@dataclass(frozen=True, slots=True)
class Selection:
    """Which objects are listed or watched, and how much of them."""

    info: KindInfo
    namespace: str | None = None
    label_selector: str = ""
    metadata_only: bool = False

    @property
    def path(self) -> str:
        """Return the path of the collection."""
        return collection_path(self.info, self.namespace)

    def query(self, **more: str) -> dict[str, str]:
        """Return query parameters with the selector among them."""
        return {"labelSelector": self.label_selector, **more} if self.label_selector else more

    def named(self, item: dict[str, Any]) -> dict[str, Any]:
        """Name the kind of a listed object (lists leave it out) and drop its managedFields."""
        item["apiVersion"], item["kind"] = self.info.api_version, self.info.kind
        item["metadata"].pop("managedFields", None)
        return item


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a list; `resource_version` is the same on all pages and where a watch starts."""

    items: list[dict[str, Any]]
    resource_version: str


async def pages(server: ApiServer, selection: Selection) -> AsyncIterator[Page]:
    """Yield the pages of a consistent list; a page that is too large is asked for in parts."""
    size, token = PAGE_SIZE, ""
    accept = METADATA_LIST if selection.metadata_only else JSON
    while True:
        query = selection.query(limit=str(size)) | ({"continue": token} if token else {})
        try:
            answer = await server.request(Call("GET", selection.path, query, accept=accept))
        except AnswerTooLarge:
            if size == 1:
                raise
            size = max(1, size // 8)
            continue
        items = [selection.named(item) for item in answer.get("items") or ()]
        yield Page(items, answer["metadata"]["resourceVersion"])
        token = answer["metadata"].get("continue", "")
        if not token:
            return
