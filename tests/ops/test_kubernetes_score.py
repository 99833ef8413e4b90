"""kube-score on every overlay: what it finds and stays has its reason here; a reason without a finding goes."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.ops import k8s, tools

pytestmark = [pytest.mark.ops, pytest.mark.timeout(540)]

FINE = 10
ALL = ".*"


class Stays(NamedTuple):
    """A check's findings on manifests whose title `titles` matches, in the overlays that `overlays` matches."""

    check: str
    titles: str
    why: str
    overlays: str = ALL


EXPLAINED = (
    Stays("container-image-pull-policy", ALL, "tags are exact: a node that has the image starts without the registry"),
    Stays(
        "networkpolicy-targets-pod",
        "NetworkPolicy/kafka(|-keda|-entity-operator)",
        "selects the pods that Strimzi makes",
    ),
    Stays("container-security-context-user-group-id", "StatefulSet/mongodb", "999 is the user of MongoDB's own image"),
    Stays(
        "pod-probes-identical", "StatefulSet/mongodb", "a member that catches up is ready: drivers choose themselves"
    ),
    Stays("pod-probes-identical", "Deployment/collector", "it answers for its health at one place", "national"),
    Stays("deployment-replicas", "Deployment/collector", "a trace is decided on by one collector", "national"),
    Stays("deployment-replicas", "Deployment/.*-api", "there is one node", "single-node"),
    Stays("deployment-has-host-podantiaffinity", ALL, "topologySpreadConstraints spread them, by zone too", "national"),
    Stays("statefulset-has-host-podantiaffinity", "StatefulSet/mongodb", "the same, and strictly", "national"),
)

Score = Callable[[str], set[tuple[str, str]]]


@pytest.fixture(scope="session")
def score() -> Score:
    """What kube-score has to say: check and manifest."""
    tool = tools.go_tool(tools.KUBE_SCORE)
    version = ".".join(tools.KUBERNETES.split(".")[:2])
    command: list[str | Path] = [tool, "score", "--kubernetes-version", f"v{version}", "--output-format", "json", "-"]

    def findings(text: str) -> set[tuple[str, str]]:
        judged = json.loads(tools.run(command, stdin=text).stdout)
        return {
            (each["check"]["id"], f"{one['type_meta']['kind']}/{one['object_meta']['name']}")
            for one in judged
            for each in one["checks"]
            if not each["skipped"] and each["grade"] < FINE
        }

    return findings


def offences(overlay: str, findings: set[tuple[str, str]]) -> list[str]:
    """What is found without a reason, and the reasons for which nothing is found."""
    reasons = [one for one in EXPLAINED if re.fullmatch(one.overlays, overlay)]

    def about(reason: Stays) -> set[tuple[str, str]]:
        return {
            (check, title) for check, title in findings if check == reason.check and re.fullmatch(reason.titles, title)
        }

    explained = set[tuple[str, str]]().union(*(about(reason) for reason in reasons))
    return [f"{title}: {check}" for check, title in sorted(findings - explained)] + [
        f"no longer found: {reason.check} ({reason.titles})" for reason in reasons if not about(reason)
    ]


@pytest.mark.parametrize("variant", k8s.OVERLAYS)
def test_every_finding_is_explained_and_every_explanation_needed(rendered: str, variant: str, score: Score) -> None:
    assert offences(variant, score(rendered)) == []


@pytest.mark.parametrize(
    ("right", "wrong", "offence"),
    [
        ("readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false", "readonlyrootfilesystem"),
        ("runAsUser: 10001", "runAsUser: 101", "user-group-id"),
        ("ephemeral-storage: 256Mi", "hugepages-2Mi: 0", "ephemeral-storage"),
        ("image: mongo:6.0.28", "image: mongo:latest", "StatefulSet/mongodb: container-image-tag"),
    ],
)
def test_what_is_worse_is_an_offence(rendered: str, score: Score, right: str, wrong: str, offence: str) -> None:
    assert right in rendered
    assert any(offence in found for found in offences("national", score(rendered.replace(right, wrong))))


def test_a_reason_for_which_nothing_is_found_is_an_offence(rendered: str, score: Score) -> None:
    better = rendered.replace("runAsUser: 999", "runAsUser: 10999").replace("runAsGroup: 999", "runAsGroup: 10999")
    assert offences("national", score(better)) == [
        "no longer found: container-security-context-user-group-id (StatefulSet/mongodb)"
    ]
