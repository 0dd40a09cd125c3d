import pytest

from agent_operator.controller.resync import Resync
from agent_operator.domain.manifest import Kind, ObjectRef
from agent_operator.errors import AccessDenied, ApiUnavailable, InvalidObject
from tests.controller_site import KEY, QUICK, Site
from tests.factories import agent_manifest

V2 = {"image": "registry.example.com/refunds:2.0"}
V3 = {"image": "registry.example.com/refunds:3.0"}


@pytest.fixture
async def site() -> Site:
    site = Site()
    await site.secret()
    await site.settle()
    assert site.status.phase == "Stable"
    return site


async def canary(site: Site) -> tuple[str, str]:
    """Start a canary and return stable and candidate."""
    site.apply(V2)
    status = await site.settle()
    assert status.rollout is not None
    assert (status.rollout.state, status.rollout.weight) == ("Stepping", 50)
    assert status.stable_revision
    assert status.candidate_revision
    await site.measure()
    return status.stable_revision, status.candidate_revision


async def test_a_settled_pass_writes_nothing_even_after_a_restart(site: Site) -> None:
    site.cluster.writes.clear()
    await site.settle()
    site.start()
    await site.settle()
    assert site.cluster.writes == {}


async def test_a_good_candidate_is_promoted_on_counted_sessions(site: Site) -> None:
    stable, candidate = await canary(site)
    for _ in range(4):
        site.counters.sessions[stable] += 20
        site.counters.sessions[candidate] += 20
        await site.measure()
    await site.settle()
    assert site.status.stable_revision == candidate
    assert site.status.last_decision is not None
    assert f"errorRate 0/60 sessions on {candidate}" in site.status.last_decision.message
    assert site.exists(site.ref(Kind.DEPLOYMENT, candidate))
    await site.settle()
    site.clock.advance(2)
    await site.settle()
    assert not site.exists(site.ref(Kind.DEPLOYMENT, stable))
    assert site.exists(site.ref(Kind.CONTROLLER_REVISION, stable))


async def test_a_bad_candidate_goes_and_is_not_tried_again(site: Site) -> None:
    stable, candidate = await canary(site)
    site.counters.sessions |= {stable: 40, candidate: 40}
    site.counters.bad[candidate] = 40
    status = await site.measure()
    await site.settle()
    status = site.status
    assert (status.phase, status.stable_revision) == ("RolledBack", stable)
    assert status.rejected is not None
    assert status.rejected.reason == "ErrorRateRegression"
    assert (
        site.found(site.ref(Kind.SERVICE))["spec"]["selector"]["agentdeploy.dev/revision"] == stable
    )
    assert not site.exists(site.ref(Kind.DEPLOYMENT, candidate))
    assert site.events.reasons.count("ErrorRateRegression") == 1
    site.cluster.writes.clear()
    site.apply(V2)
    await site.settle()
    assert site.cluster.writes == {}


async def test_counts_taken_in_a_pass_that_lost_its_answer_count_once(site: Site) -> None:
    stable, candidate = await canary(site)
    site.counters.sessions |= {stable: 100, candidate: 4}
    site.clock.advance(15)
    await site.evaluation.tick()
    site.cluster.fail(ApiUnavailable("cut"), answer_only=True)
    with pytest.raises(ApiUnavailable):
        await site.turn()
    stored = await site.cluster.read_agent(KEY)
    assert stored is not None
    site.cache.observe_agent("MODIFIED", stored)
    site.counters.sessions |= {stable: 120, candidate: 8}
    await site.measure()
    row = site.status.analysis[0]
    assert (row.canary.sessions, row.stable.sessions) == (8, 120)


async def test_after_a_restart_evidence_goes_on_where_it_was(site: Site) -> None:
    stable, candidate = await canary(site)
    site.counters.sessions |= {stable: 5, candidate: 5}
    await site.measure()
    site.start()
    await site.settle(2)
    await site.measure()
    site.counters.sessions |= {stable: 7, candidate: 8}
    await site.measure()
    row = site.status.analysis[0]
    # The fake answers the present for the past, so what happened while it was down is missed.
    assert (row.canary.sessions, row.stable.sessions) == (8, 7)


async def test_sessions_counted_before_a_weight_was_in_force_do_not_pass_its_step(
    site: Site,
) -> None:
    site.apply({"rollout": {**QUICK["rollout"], "steps": [{"weight": 20}, {"weight": 60}]}})
    site.apply(V2)
    await site.settle()
    stable, candidate = site.status.stable_revision or "", site.status.candidate_revision or ""
    await site.measure()
    site.counters.sessions |= {stable: 50, candidate: 50}
    await site.measure()
    assert site.status.rollout is not None
    assert site.status.rollout.step == 2
    assert site.status.analysis[0].canary.sessions == 0
    assert site.status.rollout.passes_in_row == 0


@pytest.mark.parametrize(
    "kind",
    [
        Kind.CONTROLLER_REVISION,
        Kind.CONFIG_MAP,
        Kind.SERVICE,
        Kind.DEPLOYMENT,
        Kind.AUTOSCALER,
        Kind.DISRUPTION_BUDGET,
    ],
)
@pytest.mark.parametrize("is_live", [False, True], ids=["stable", "canary"])
async def test_a_deleted_child_of_the_stable_revision_comes_back(
    site: Site, kind: Kind, *, is_live: bool
) -> None:
    if is_live:
        await canary(site)
    ref = site.ref(kind, site.status.stable_revision)
    site.cluster.remove(ref)
    await site.settle(3)
    assert site.exists(ref)
    assert site.condition("Stalled")[0] == "False"


async def test_a_foreign_object_under_our_name_is_left_alone(site: Site) -> None:
    ref = site.ref(Kind.SERVICE)
    site.cluster.remove(ref)
    foreign = {"name": ref.name, "namespace": ref.namespace}
    spec = {"selector": {"app": "theirs"}}
    await site.cluster.create(
        {"apiVersion": "v1", "kind": "Service", "metadata": foreign, "spec": spec}
    )
    await site.settle(3)
    assert site.found(ref)["spec"] == spec
    assert site.condition("Stalled") == ("True", "NameConflict")
    site.cluster.remove(ref)
    await site.settle(3)
    assert site.condition("Ready") == ("True", "Stable")


async def test_a_refused_child_is_a_condition_and_the_others_are_written(site: Site) -> None:
    site.cluster.refused["apply", Kind.DISRUPTION_BUDGET] = InvalidObject("exceeded quota")
    site.apply({"scaling": {"minReplicas": 3}})
    site.cluster.remove(site.ref(Kind.DISRUPTION_BUDGET, site.status.stable_revision))
    await site.settle(3)
    assert site.condition("Ready") == ("False", "ChildRefused")
    autoscaler = site.found(site.ref(Kind.AUTOSCALER, site.status.stable_revision))
    assert autoscaler["spec"]["minReplicas"] == 3
    site.cluster.writes.clear()
    site.start()
    await site.settle(2)
    assert site.cluster.writes["status"] == 0


async def test_a_rollback_does_not_end_before_the_service_is_back(site: Site) -> None:
    stable, candidate = await canary(site)
    site.cluster.refused["apply", Kind.SERVICE] = InvalidObject("exceeded quota")
    site.apply({"image": agent_manifest()["spec"]["image"]})
    await site.settle(4)
    assert site.status.rollout is not None
    assert site.status.rollout.state == "RollingBack"
    assert site.exists(site.ref(Kind.DEPLOYMENT, candidate))
    del site.cluster.refused["apply", Kind.SERVICE]
    await site.settle(4)
    assert site.status.phase == "Stable"
    assert (
        site.found(site.ref(Kind.SERVICE))["spec"]["selector"]["agentdeploy.dev/revision"] == stable
    )


async def test_a_prompt_that_is_too_large_is_a_condition(site: Site) -> None:
    site.apply({"prompt": {"version": "v9", "files": {"system.md": "<" * 250_000}}})
    await site.settle(2)
    assert site.condition("Ready") == ("False", "InvalidPrompt")
    assert site.status.observed_generation == 2


async def test_a_missing_permission_is_a_condition(site: Site) -> None:
    site.cluster.refused["read", Kind.SECRET] = AccessDenied("may not get secrets")
    await site.settle(2)
    assert site.condition("Ready") == ("False", "AccessDenied")


async def test_a_candidate_nobody_can_confirm_is_not_promoted(site: Site) -> None:
    stable, candidate = await canary(site)
    site.apply({"prompt": {"version": "v7", "files": None, "configMapRef": {"name": "absent"}}})
    for _ in range(6):
        site.counters.sessions[stable] += 20
        site.counters.sessions[candidate] += 20
        await site.measure()
    assert site.status.stable_revision == stable
    assert site.status.last_decision is not None
    assert site.status.last_decision.reason == "PromptNotFound"


async def test_missing_metrics_hold_and_counting_goes_on_afterwards(site: Site) -> None:
    stable, candidate = await canary(site)
    site.counters.is_down = True
    for _ in range(5):
        status = await site.measure()
        assert status.phase == "Held"
        assert site.condition("MetricsAvailable") == ("False", "MetricsUnavailable")
    site.counters.is_down = False
    site.counters.sessions |= {stable: 30, candidate: 30}
    await site.measure()
    assert site.status.analysis[0].canary.sessions == 30


async def test_shorter_steps_while_promoting_are_no_failure(site: Site) -> None:
    site.apply({"rollout": {**QUICK["rollout"], "steps": [{"weight": 10}, {"weight": 60}]}})
    stable, candidate = await canary_of(site)
    for _ in range(10):
        site.counters.sessions[stable] += 20
        site.counters.sessions[candidate] += 20
        await site.measure()
        if site.status.rollout and site.status.rollout.state == "Promoting":
            break
        site.apply({"rollout": {**QUICK["rollout"], "steps": [{"weight": 60}]}})
    await site.settle(12)
    assert site.status.stable_revision == candidate


async def canary_of(site: Site) -> tuple[str, str]:
    site.apply(V2)
    await site.settle()
    await site.measure()
    return site.status.stable_revision or "", site.status.candidate_revision or ""


async def test_resync_finds_changes_and_agents_that_no_event_told(site: Site) -> None:
    site.cluster.put_agent(agent_manifest({**QUICK, "paused": True}))
    await Resync(site.cluster, site.cache, lambda key: None).look()
    agent = site.cache.agent(KEY)
    assert agent is not None
    assert agent["spec"]["paused"] is True
    site.cluster.delete_agent(KEY)
    await Resync(site.cluster, site.cache, lambda key: None).look()
    assert site.cache.agent(KEY) is None


async def test_an_agent_that_was_deleted_meanwhile_gets_no_new_children(site: Site) -> None:
    site.cluster.delete_agent(KEY)
    await site.turn()
    await site.turn()
    assert site.cache.agent(KEY) is None
    assert [ref for ref, _ in site.cluster.objects() if ref.name != "agent-secrets"] == []


async def test_a_selector_that_somebody_narrowed_is_put_right(site: Site) -> None:
    ref = site.ref(Kind.SERVICE)
    site.cluster.change(ref, {"spec": {"selector": {"evil": "x"}}})
    await site.settle(2)
    applied = site.cluster.writes["apply Service"]
    assert applied > 2


async def test_an_odd_object_of_ours_stops_nobody(site: Site) -> None:
    labels = {"agentdeploy.dev/name": "refunds", "app.kubernetes.io/managed-by": "agent-operator"}
    metadata = {"name": "odd", "namespace": KEY.namespace, "labels": labels, "uid": "odd"}
    odd = {"apiVersion": Kind.ROUTE.value.api_version, "kind": "HTTPRoute", "metadata": metadata}
    site.cache.observe(odd)
    assert ObjectRef(Kind.ROUTE, KEY.namespace, "odd") not in site.cache.children(KEY)


async def test_another_revision_in_mid_rollout_replaces_the_candidate(site: Site) -> None:
    stable, candidate = await canary(site)
    site.apply(V3)
    await site.settle(10)
    assert site.status.stable_revision == stable
    assert site.status.candidate_revision not in (None, candidate)
    assert not site.exists(site.ref(Kind.DEPLOYMENT, candidate))


async def test_a_prompt_that_changes_under_its_version_is_told_once_and_not_rolled_out(
    site: Site,
) -> None:
    site.apply({"prompt": {"files": {"system.md": "Say yes to everything."}}})
    await site.settle()
    assert site.condition("PromptDrift") == ("True", "ContentChanged")
    assert site.condition("Ready") == ("True", "Stable")
    assert site.events.reasons.count("PromptDrift") == 1
