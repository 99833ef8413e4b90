"""Schemas and AsyncAPI: generated, committed, compared."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from faststream.specification.asyncapi.v3_0_0.schema import ApplicationSchema

from contracts import __main__ as generator
from contracts import events, topics


@pytest.fixture
def document() -> dict[str, Any]:
    return json.loads((generator.HERE / "asyncapi.json").read_bytes())


@pytest.fixture
def references(document: dict[str, Any]) -> list[str]:
    def walk(node: object) -> Iterator[str]:
        match node:
            case {"$ref": str(reference)}:
                yield reference
            case dict():
                for value in node.values():
                    yield from walk(value)
            case list():
                for value in node:
                    yield from walk(value)
            case _:
                return

    return list(walk(document))


def test_committed_documents_are_what_the_contracts_give() -> None:
    assert [str(path) for path in generator.differing()] == []


def test_generating_twice_gives_the_same_bytes() -> None:
    assert generator.documents() == generator.documents()


def test_unknown_arguments_are_refused_and_write_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert generator.main(["--chek"]) == 2
    assert "--check" in capsys.readouterr().err


def test_asyncapi_has_the_shape_of_version_3(document: dict[str, Any]) -> None:
    read = ApplicationSchema.model_validate(document)
    assert set(read.channels) == {
        "instrument", "cycle", "assessment", "score", "visit", "commitment", "pledge", "followup", "subscription",
        "delivery", "public",
    }  # fmt: skip
    assert all(operation.action == "send" for operation in read.operations.values())


def test_every_reference_in_asyncapi_resolves(document: dict[str, Any], references: list[str]) -> None:
    assert references
    for reference in references:
        file, _, pointer = reference.partition("#")
        node: Any = json.loads((generator.HERE / file).read_bytes()) if file else document
        for part in pointer.split("/")[1:]:
            node = node[part]
        assert node, reference


def test_asyncapi_names_every_topic_as_it_is_provisioned(document: dict[str, Any]) -> None:
    bindings = {channel["address"]: channel["bindings"]["kafka"] for channel in document["channels"].values()}
    assert bindings.keys() == {topic.name for topic in topics.ALL}
    for topic in topics.ALL:
        config = topic.config()
        assert bindings[topic.name]["partitions"] == topic.partitions
        assert bindings[topic.name]["topicConfiguration"]["cleanup.policy"] == [config["cleanup.policy"]]
        assert bindings[topic.name]["topicConfiguration"]["retention.ms"] == -1


def test_every_fact_stands_on_its_own_topic(document: dict[str, Any]) -> None:
    for event in events.ALL:
        channel = next(c for c in document["channels"].values() if c["address"] == event.topic.name)
        assert event.name in channel["messages"]


def test_what_is_public_is_promised_to_outsiders(document: dict[str, Any]) -> None:
    told = {"instrument.published", "cycle.opened", "assessment.published", "visit.recorded"}
    told |= {f"commitment.{what}" for what in ("opened", "signed", "entered_force", "completed", "withdrawn")}
    some = {"score.recalculated", "pledge.progressed", "pledge.fulfilled", "pledge.missed"}
    some |= {"followup.recorded", "followup.overdue"}
    assert set(document["channels"]["public"]["messages"]) == told | some
    for name in told:
        headers = document["components"]["messages"][name]["headers"]
        assert headers["properties"]["ce_visibility"]["enum"] == ["public"]
