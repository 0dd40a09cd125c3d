"""What add-ons consist of: labelled objects, a certificate, and what has to be waited for."""

from pathlib import Path

import pytest

from localcluster import ForeignCluster, credentials
from localcluster.addons import ADDONS
from localcluster.addons.install import adapter_certificate, waits
from localcluster.addons.ownership import documents
from localcluster.addons.registry import Addon


@pytest.mark.parametrize("addon", ADDONS.values(), ids=list(ADDONS))
def test_every_object_of_an_addon_gets_our_label(addon: Addon) -> None:
    labels = [each["metadata"]["labels"] for each in documents(addon.manifest)]
    assert {label["app.kubernetes.io/part-of"] for label in labels} == {"localcluster"}


def test_labels_that_an_object_has_stay_and_empty_documents_go() -> None:
    text = "---\nkind: A\nmetadata: {name: a, labels: {mine: b}}\n---\n# nothing\n"
    (only,) = documents(text)
    assert only["metadata"]["labels"] == {"mine": "b", "app.kubernetes.io/part-of": "localcluster"}


def test_nothing_is_waited_for_that_was_not_applied() -> None:
    assert waits([{"kind": "Deployment"}, {"kind": "Service"}]) == [
        ("Available", "deployment", "-A", "-l", "app.kubernetes.io/part-of=localcluster")
    ]


def test_the_adapters_certificate_stays_until_it_is_about_to_expire(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = ForeignCluster(tmp_path / "kubeconfig", tmp_path / "files")
    with monkeypatch.context() as patched:
        patched.setattr(credentials, "DAYS", "1")
        expiring = adapter_certificate(cluster)
    renewed = adapter_certificate(cluster)
    assert {name for name in renewed if renewed[name] != expiring[name]} == set(renewed)
    assert adapter_certificate(cluster) == renewed
