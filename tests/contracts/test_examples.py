"""Every golden example stays readable, and says the same after it was read."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from jsonschema import Draft7Validator, validate
from pydantic import TypeAdapter, ValidationError

from contracts import events
from contracts.assessment import Exact, Level
from contracts.events import EventType
from contracts.fact import envelope_of, fact_id

CONTRACTS = Path(events.__file__).parent
EXAMPLES = sorted((CONTRACTS / "examples").glob("*.json"))


@dataclass(frozen=True)
class Golden:
    """A committed example beside the fact it is an example of."""

    event: EventType
    topic: str
    key: str
    headers: dict[str, str]
    body: dict[str, Any]

    def wire_headers(self) -> list[tuple[str, bytes]]:
        return [(name, value.encode()) for name, value in self.headers.items()]


@pytest.fixture(params=EXAMPLES, ids=lambda path: path.stem)
def golden(request: pytest.FixtureRequest) -> Golden:
    example = json.loads(request.param.read_bytes())
    event = next(event for event in events.ALL if event.name == request.param.name.partition(".v1")[0])
    return Golden(event, example["topic"], example["key"], example["headers"], example["body"])


@pytest.mark.parametrize("event", events.ALL, ids=lambda event: event.name)
def test_every_fact_has_an_example(event: EventType) -> None:
    assert (CONTRACTS / "examples" / f"{event.name}.v1.json").is_file()


def test_body_fits_its_committed_schema(golden: Golden) -> None:
    validate(golden.body, json.loads((CONTRACTS / "schemas" / f"{golden.event.name}.json").read_bytes()))


def test_headers_fit_the_asyncapi_document(golden: Golden) -> None:
    document = json.loads((CONTRACTS / "asyncapi.json").read_bytes())
    headers = document["components"]["messages"][golden.event.name]["headers"]
    validate(golden.headers, headers, cls=Draft7Validator)  # what AsyncAPI's own schema objects are


def test_body_read_and_written_again_is_the_same(golden: Golden) -> None:
    read = golden.event.body.model_validate_json(json.dumps(golden.body))
    written = json.loads(read.model_dump_json())
    assert written == written | golden.body, "what the contract gained since stands beside it"


def test_id_follows_from_aggregate_revision_rule_and_type(golden: Golden) -> None:
    envelope = envelope_of(golden.wire_headers())
    aggregate = golden.event.body.model_validate(golden.body).aggregate
    assert envelope.id == fact_id(
        aggregate=aggregate, revision=envelope.revision, rule=envelope.rule, type=golden.event.type
    )
    assert envelope.subject == aggregate


def test_envelope_survives_the_round_trip(golden: Golden) -> None:
    envelope = envelope_of(golden.wire_headers())
    assert dict(envelope.headers()) == dict(golden.wire_headers())
    assert (envelope.type, envelope.source) == (golden.event.type, golden.event.source)


def test_topic_and_key_are_the_facts_own(golden: Golden) -> None:
    assert golden.topic == golden.event.topic.name
    by_region = golden.event.topic.key == "region code"
    assert golden.key == (golden.body["region"] if by_region else golden.headers["ce_subject"])
    assert golden.headers.get("ce_region") == golden.body.get("region")


def test_a_field_that_a_newer_publisher_added_is_ignored(golden: Golden) -> None:
    newer = golden.body | {"added_later": {"deep": [1, 2]}}
    validate(newer, json.loads((CONTRACTS / "schemas" / f"{golden.event.name}.json").read_bytes()))
    assert golden.event.body.model_validate(newer) == golden.event.body.model_validate(golden.body)


def test_a_missing_field_breaks_the_contract(golden: Golden) -> None:
    for name in json.loads((CONTRACTS / "schemas" / f"{golden.event.name}.json").read_bytes())["required"]:
        with pytest.raises(ValidationError):
            golden.event.body.model_validate({k: v for k, v in golden.body.items() if k != name})


def test_the_id_of_a_fact_never_changes() -> None:
    assert fact_id(
        aggregate="spbe-2023:32.11", revision=1, rule=0, type="id.livinglab.assessment.submitted.v1"
    ) == UUID("4f031f09-d98c-54d7-b111-05a650b23c45")


@pytest.mark.parametrize("foreign", ["\u0663", "3\n", "3 ", "+3", "3.", "1e1", "NaN"])
@pytest.mark.parametrize("number", [TypeAdapter(Level), TypeAdapter(Exact)], ids=["level", "exact"])
def test_numbers_are_ascii_decimals_and_nothing_else(number: TypeAdapter[str], foreign: str) -> None:
    with pytest.raises(ValidationError):
        number.validate_python(foreign)
