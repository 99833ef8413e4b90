"""Facts between models and bytes: what goes out is whole, and what comes in is a fact or is refused, never half."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypedDict, Unpack

import orjson
import pytest
from aiokafka import ConsumerRecord
from hypothesis import given
from hypothesis import strategies as st

from chassis.epochs import EPOCH
from chassis.records import Fact, Ignored, OutgoingFact, Rejected, header, incoming, outgoing
from contracts import events
from contracts.assessment import AssessmentState, CycleOpened
from contracts.fact import BODY_MAX_BYTES, Visibility, fact_id
from services.assessment import catalogue

AT = datetime(2023, 8, 1, 9, 30, 0, 123_000, tzinfo=UTC)
STATE = AssessmentState.model_validate(
    {
        "assessment": "spbe-2023:32.11",
        "region": "32.11",
        "instrument": "spbe-2020",
        "cycle": "spbe-2023",
        "period": 2023,
        "predicate_basis": "rounded",
        "status": "submitted",
        "levels": {"self": {1: "3"}},
    }
)
CYCLE = catalogue.cycles()[0]


class Changed(TypedDict, total=False):
    """What a record differs in."""

    value: bytes | None
    key: bytes | None


def made(*, revision: int = 7, rule: int = 0) -> OutgoingFact:
    """The submission, ready to be sent."""
    return outgoing(
        events.ASSESSMENT_SUBMITTED,
        STATE,
        key="32.11",
        revision=revision,
        rule=rule,
        time=AT,
        visibility=Visibility.SUPERVISED,
        region="32.11",
    )


def record(
    fact: OutgoingFact, headers: dict[str, bytes | None] | None = None, **changed: Unpack[Changed]
) -> ConsumerRecord[Any, Any]:
    """As it is read; `headers` over its own, None for a null one."""
    wire: dict[str, bytes | None] = {**dict(fact.envelope.headers()), **(headers or {})}
    untyped: Any = tuple(wire.items())
    return ConsumerRecord(
        topic=fact.topic.name,
        partition=3,
        offset=17,
        timestamp=0,
        timestamp_type=0,
        key=changed.get("key", fact.key.encode()),
        value=changed.get("value", fact.value),
        checksum=None,
        serialized_key_size=0,
        serialized_value_size=0,
        headers=untyped,
    )


def read(record: ConsumerRecord[Any, Any]) -> Fact[AssessmentState]:
    """As the scoring service reads it."""
    return incoming(record, AssessmentState)


# Out


def test_a_fact_has_its_aggregates_identity_and_is_read_back_as_it_was() -> None:
    sent = made(revision=7)
    assert sent.envelope.id == fact_id(
        aggregate="spbe-2023:32.11", revision=7, rule=0, type="id.livinglab.assessment.submitted.v1"
    )
    got = read(record(sent, {"traceparent": b"00-" + b"a" * 32 + b"-" + b"b" * 16 + b"-01", EPOCH: b"2"}))
    assert (got.envelope, got.body, got.key) == (sent.envelope, STATE, "32.11")
    assert got.traceparent == f"00-{'a' * 32}-{'b' * 16}-01"


def test_the_same_fact_is_the_same_bytes() -> None:
    assert (made().value, made().envelope) == (made().value, made().envelope)


def test_a_body_of_another_event_is_a_mistake_of_ours() -> None:
    with pytest.raises(TypeError, match="carries AssessmentState, not CycleOpened"):
        outgoing(events.ASSESSMENT_SUBMITTED, CYCLE, key="x", revision=1, time=AT, visibility=Visibility.SUPERVISED)


@pytest.mark.parametrize("extra", [0, 1])
def test_a_fact_too_large_for_kafka_is_refused_before_it_is_written_anywhere(extra: int) -> None:
    room = BODY_MAX_BYTES - len(CYCLE.model_copy(update={"name_id": ""}).model_dump_json())
    body = CYCLE.model_copy(update={"name_id": "x" * (room + extra)})
    about: dict[str, Any] = {"key": "x", "revision": 1, "time": AT, "visibility": Visibility.PUBLIC}
    if extra:
        with pytest.raises(ValueError, match=f"has {BODY_MAX_BYTES + 1} bytes; {BODY_MAX_BYTES} are allowed"):
            outgoing(events.CYCLE_OPENED, body, **about)
    else:
        assert len(outgoing(events.CYCLE_OPENED, body, **about).value) == BODY_MAX_BYTES


# In


def test_a_digest_is_of_type_and_body_and_of_nothing_beside_them() -> None:
    one = read(record(made()))
    assert one.digest == read(record(made(), {EPOCH: b"9", "traceparent": b"x"}, key=b"32.12")).digest
    other = orjson.loads(made().value) | {"period": 2024}
    assert one.digest != read(record(made(), value=orjson.dumps(other))).digest


def test_unknown_fields_and_headers_of_a_newer_publisher_are_ignored() -> None:
    newer = orjson.loads(made().value) | {"verified_by": {"deep": [1, 2]}}
    assert read(record(made(), {"ce_dataschema": b"x"}, value=orjson.dumps(newer))).body == STATE


@pytest.mark.parametrize("type", ["id.livinglab.assessment.submitted.v2", "id.livinglab.assessment.submitted.v10"])
@pytest.mark.parametrize("value", [b'{"of": "another shape"}', b"\x00 not JSON", None])
def test_a_later_version_is_not_read_whatever_its_shape(type: str, value: bytes | None) -> None:
    with pytest.raises(Ignored):
        read(record(made(), {"ce_type": type.encode()}, value=value))


BODY = orjson.loads(made().value)


@pytest.mark.parametrize(
    ("headers", "changed", "code", "tells"),
    [
        ({}, {"value": None}, "no_body", "no value"),
        ({}, {"value": b""}, "breaks_contract", "EOF"),
        ({}, {"value": b"not json"}, "breaks_contract", "JSON"),
        ({}, {"value": b"\xff\xfe"}, "breaks_contract", "JSON"),
        ({}, {"value": b"[]"}, "breaks_contract", "object"),
        ({}, {"value": b"null"}, "breaks_contract", "object"),
        ({}, {"value": b"{}"}, "breaks_contract", "assessment: Field required"),
        ({}, {"value": b"[" * 100_000}, "breaks_contract", "JSON"),
        ({}, {"value": made().value.replace(b'"3"', b'"\\ud800"')}, "breaks_contract", "JSON"),
        ({}, {"value": made().value.replace(b"2023,", b"NaN,")}, "breaks_contract", ""),
        ({}, {"value": orjson.dumps(BODY | {"levels": {"self": {"1": "drei"}}})}, "breaks_contract", "levels.self.1"),
        ({}, {"value": orjson.dumps(BODY | {"levels": {"self": {"0": "3"}}})}, "breaks_contract", "levels.self.0"),
        ({}, {"value": orjson.dumps(BODY | {"status": "burnt"})}, "breaks_contract", "status"),
        ({}, {"value": orjson.dumps(BODY | {"assessment": "spbe-2023:32.12"})}, "wrong_identity", "ce_subject"),
        ({"ce_revision": b"8"}, {}, "wrong_identity", "this fact's id is"),
        ({"ce_rule": b"1"}, {}, "wrong_identity", "this fact's id is"),
        ({"ce_type": b"id.livinglab.assessment.reopened.v1"}, {}, "wrong_identity", "this fact's id is"),
        ({"ce_region": b"32.12"}, {}, "wrong_identity", "ce_region is 32.12, but the body is about 32.11"),
        ({"ce_subject": b"32.11"}, {}, "wrong_identity", "ce_subject"),
        ({}, {"key": None}, "wrong_identity", "key"),
        ({}, {"key": b"\xff\xfe"}, "wrong_identity", "key"),
        ({}, {"value": orjson.dumps(BODY | {"period": 10**12})}, "breaks_contract", "period"),
        ({"ce_type": b"id.livinglab.cycle.opened.v1"}, {}, "unknown_type", "does not belong on livinglab.assessment"),
        ({"ce_time": b"0001-01-01T00:00:00+14:00"}, {}, "malformed_envelope", "ce_time"),
        ({"ce_time": b"9999-12-31T23:59:59-14:00"}, {}, "malformed_envelope", "ce_time"),
        ({"ce_type": b"com.example.thing.v1"}, {}, "unknown_type", "com.example.thing.v1"),
        ({"ce_type": b"id.livinglab.assessment.submitted"}, {}, "unknown_type", "assessment.submitted"),
        ({"ce_type": b"id.livinglab.assessment.submitted.v"}, {}, "unknown_type", "submitted.v"),
        ({"ce_type": b"id.livinglab.assessment.submitted.v\xd9\xa1"}, {}, "unknown_type", "submitted.v"),
        ({"ce_type": b""}, {}, "unknown_type", "''"),
        ({"ce_id": None}, {}, "malformed_envelope", "ce_id is missing"),
        ({"ce_id": b"\xff"}, {}, "malformed_envelope", "ce_id is not UTF-8"),
        ({"ce_specversion": b"0.3"}, {}, "malformed_envelope", "ce_specversion"),
        ({"ce_revision": b"-1"}, {}, "malformed_envelope", "revision"),
        ({"ce_time": b"yesterday"}, {}, "malformed_envelope", "yesterday"),
    ],
)
def test_what_is_no_fact_is_refused_with_its_reason(
    headers: dict[str, bytes | None], changed: Changed, code: str, tells: str
) -> None:
    with pytest.raises(Rejected) as refused:
        read(record(made(), headers, **changed))
    assert refused.value.code == code
    assert tells in refused.value.detail


def test_what_was_refused_is_not_repeated_in_the_reason() -> None:
    body = orjson.dumps(BODY | {"levels": {"self": {"1": "NIK 3211010101010001"}}})
    with pytest.raises(Rejected) as refused:
        read(record(made(), value=body))
    assert "3211010101010001" not in refused.value.detail


HEADER_NAMES = [name for name, _ in made().envelope.headers()]


@dataclass(frozen=True)
class Junk:
    """A record that is almost a fact."""

    headers: dict[str, bytes | None]
    value: bytes | None
    key: bytes | None


junk_bytes = st.none() | st.binary(max_size=60)
junk_bodies = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
almost = st.dictionaries(st.sampled_from(sorted(BODY)), junk_bodies, max_size=3).map(
    lambda changed: json.dumps(BODY | changed).encode()
)


@given(
    st.builds(
        Junk,
        headers=st.dictionaries(st.sampled_from(HEADER_NAMES), junk_bytes, max_size=3),
        value=junk_bytes | almost,
        key=junk_bytes,
    )
)
def test_no_record_whatsoever_raises_anything_but_rejected(junk: Junk) -> None:
    """Anything else would be taken for a bug of ours and hold the partition."""
    untouched = made()
    try:
        fact = read(record(untouched, junk.headers, value=junk.value, key=junk.key))
    except (Rejected, Ignored):
        return
    assert fact.envelope.id == untouched.envelope.id


@pytest.mark.parametrize(
    ("headers", "found"),
    [
        ([], None),
        ([("epoch", None)], None),
        ([("epoch", b"3"), ("epoch", b"4")], "3"),
        ([("epoch", None), ("epoch", b"4")], "4"),
        ([("epoch", b"\xff")], "�"),
    ],
)
def test_a_header_is_the_first_that_has_a_value(headers: list[tuple[str, bytes | None]], found: str | None) -> None:
    assert header(headers, "epoch") == found


def test_a_reader_of_other_bodies_refuses_this_one() -> None:
    with pytest.raises(Rejected, match=r"name_id: Field required"):
        incoming(record(made()), CycleOpened)
