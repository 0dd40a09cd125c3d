"""All owned objects in one place: what must exist for a serving plan, in order of application."""

from collections.abc import Iterator

from agent_operator.api.v1alpha1 import AgentDeployment
from agent_operator.domain.manifest import Manifest
from agent_operator.domain.resources.autoscaler import autoscaler
from agent_operator.domain.resources.configmap import revision_configmap
from agent_operator.domain.resources.controller_revision import controller_revision
from agent_operator.domain.resources.deployment import deployment
from agent_operator.domain.resources.disruption_budget import disruption_budget
from agent_operator.domain.resources.policy import policy_configmap
from agent_operator.domain.resources.route import route
from agent_operator.domain.resources.service import agent_service, revision_service
from agent_operator.domain.serving import ServingPlan


def desired_objects(agent: AgentDeployment, plan: ServingPlan) -> tuple[Manifest, ...]:
    """List every owned object, except Secret `<name>-keys`, which is created once, not applied.

    What an object refers to comes before it: content, then pods, then what sends traffic to them.
    """
    return tuple(_objects(agent, plan))


def _objects(agent: AgentDeployment, plan: ServingPlan) -> Iterator[Manifest]:
    snapshots = [serving.snapshot for serving in plan.revisions]
    revisions = [snapshot.revision for snapshot in snapshots]
    retained = [each for each in plan.retained if each.revision not in revisions]
    yield from (controller_revision(agent, each) for each in [*snapshots, *retained])
    yield from (revision_configmap(agent, each) for each in snapshots if each.files)
    yield policy_configmap(agent)
    yield from (revision_service(agent, revision) for revision in revisions)
    yield from (deployment(agent, each) for each in snapshots)
    yield from (autoscaler(agent, each) for each in plan.revisions if each.fixed_replicas is None)
    yield from (disruption_budget(agent, revision) for revision in revisions)
    yield agent_service(agent, plan.service_revision)
    if agent.spec.traffic is not None:
        yield route(agent, agent.spec.traffic, plan.revisions)
