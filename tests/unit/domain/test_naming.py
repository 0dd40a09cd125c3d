"""Names, labels and ownership of owned objects."""

from agent_operator.domain import naming
from tests.factories import agent


def test_the_longest_agent_name_gives_child_names_that_are_dns_labels() -> None:
    assert len(naming.child_name(agent(name="a" * 40), "0123456789")) <= 63


def test_labels_of_a_revision_contain_the_labels_of_its_agent() -> None:
    refunds = agent()
    assert naming.labels(refunds).items() < naming.labels(refunds, "0123456789").items()


def test_selectors_choose_only_labels_that_the_objects_have() -> None:
    refunds = agent()
    assert naming.selector(refunds).items() <= naming.labels(refunds).items()
    of_revision = naming.selector(refunds, "0123456789").items()
    assert of_revision <= naming.labels(refunds, "0123456789").items()


def test_selectors_of_two_revisions_are_disjoint() -> None:
    refunds = agent()
    pod = naming.labels(refunds, "0123456789")
    assert not naming.selector(refunds, "abcdef0123").items() <= pod.items()


def test_selectors_of_two_agents_are_disjoint() -> None:
    pod = naming.labels(agent(name="refunds-eu"), "0123456789")
    assert not naming.selector(agent(name="refunds")).items() <= pod.items()


def test_the_owner_reference_makes_the_agent_the_controller_and_never_blocks_its_deletion() -> None:
    assert naming.owner_reference(agent(name="refunds", uid="4f1c")) == {
        "apiVersion": "agentdeploy.dev/v1alpha1",
        "kind": "AgentDeployment",
        "name": "refunds",
        "uid": "4f1c",
        "controller": True,
        "blockOwnerDeletion": False,
    }
