"""What a spec refers to: the prompt's files and the Secrets, read when a key is reconciled."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from agent_operator.api.v1alpha1 import AgentDeployment
from agent_operator.domain.manifest import Kind, Manifest, ObjectRef
from agent_operator.domain.observation import Problem
from agent_operator.domain.revision import axes, revision_of
from agent_operator.domain.serving import Snapshot
from agent_operator.errors import AccessDenied
from agent_operator.ports import ClusterApi


@dataclass(frozen=True, slots=True)
class Sources:
    """The revision a spec asks for and its files, or the problem that hides them.

    `drift`: the source's content is another one than its version was first seen with.
    """

    wanted: str | None
    files: Mapping[str, str]
    problem: Problem | None = None
    drift: Problem | None = None


async def read_sources(
    cluster: ClusterApi, agent: AgentDeployment, snapshots: Mapping[str, Snapshot]
) -> Sources:
    """Read what the spec refers to; a version that was seen before has the content of then."""
    try:
        return await _read_sources(cluster, agent, snapshots)
    except AccessDenied as error:
        return Sources(None, {}, Problem("AccessDenied", str(error)))


async def _read_sources(
    cluster: ClusterApi, agent: AgentDeployment, snapshots: Mapping[str, Snapshot]
) -> Sources:
    seen = _files_of_version(agent, snapshots)
    files, problem = await _files(cluster, agent)
    drift = None
    if seen is not None:
        drift = _drift(agent, files) if problem is None and files != seen else None
        files, problem = seen, None
    problem = problem or await _secret_problem(cluster, agent)
    if problem is not None:
        return Sources(None, {}, problem, drift)
    try:
        return Sources(revision_of(axes(agent.spec, files)), files, None, drift)
    except ValueError as error:
        return Sources(None, {}, Problem("InvalidPrompt", f"spec.prompt: {error}"), drift)


def _files_of_version(
    agent: AgentDeployment, snapshots: Mapping[str, Snapshot]
) -> Mapping[str, str] | None:
    if agent.spec.prompt.from_image:
        return None
    for snapshot in snapshots.values():
        if snapshot.files and snapshot.axes["prompt"]["version"] == agent.spec.prompt.version:
            return snapshot.files
    return None


async def _files(
    cluster: ClusterApi, agent: AgentDeployment
) -> tuple[Mapping[str, str], Problem | None]:
    prompt, namespace = agent.spec.prompt, agent.metadata.namespace
    if prompt.from_image:
        return {}, None
    if prompt.files is not None:
        return prompt.files, None
    if prompt.config_map_ref is None:
        return {}, Problem("InvalidSpec", "spec.prompt names no source")
    name = prompt.config_map_ref.name
    found = await cluster.read(ObjectRef(Kind.CONFIG_MAP, namespace, name))
    if found is None:
        message = (
            f"spec.prompt.configMapRef: ConfigMap {namespace}/{name} does not exist; create it "
            "with the prompt's files as keys"
        )
        return {}, Problem("PromptNotFound", message)
    return _text_of(found, name)


def _text_of(config_map: Manifest, name: str) -> tuple[Mapping[str, str], Problem | None]:
    if config_map.get("binaryData"):
        message = f"spec.prompt.configMapRef: ConfigMap {name} has files that are not UTF-8 text"
        return {}, Problem("InvalidPrompt", message)
    return dict(config_map.get("data") or {}), None


def _drift(agent: AgentDeployment, files: Mapping[str, str]) -> Problem:
    version = agent.spec.prompt.version
    message = (
        f"the prompt's files ({', '.join(sorted(files)) or 'none'}) changed under version "
        f"{version}, which keeps its first content; bump spec.prompt.version to roll them out"
    )
    return Problem("ContentChanged", message)


async def _secret_problem(cluster: ClusterApi, agent: AgentDeployment) -> Problem | None:
    """Look at metadata only: whether the Secret has the key, its pods will say."""
    namespace = agent.metadata.namespace
    for field, name in _secret_refs(agent):
        if await cluster.read(ObjectRef(Kind.SECRET, namespace, name)) is None:
            message = f"{field}: Secret {namespace}/{name} does not exist; create it"
            return Problem("SecretNotFound", message)
    return None


def _secret_refs(agent: AgentDeployment) -> Iterator[tuple[str, str]]:
    spec = agent.spec
    if spec.model.credentials_secret_ref is not None:
        yield "spec.model.credentialsSecretRef", spec.model.credentials_secret_ref.name
    if spec.session_store is not None:
        yield "spec.sessionStore.redisSecretRef", spec.session_store.redis_secret_ref.name
    for index, variable in enumerate(spec.pod.env):
        if variable.value_from is not None:
            yield f"spec.pod.env[{index}]", variable.value_from.secret_key_ref.name
