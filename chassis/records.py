"""Facts between the contract's models and Kafka's bytes."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from hashlib import blake2b
from typing import Generic, TypeVar

from aiokafka import ConsumerRecord
from pydantic import ValidationError

from contracts.events import EventType
from contracts.fact import (
    BODY_MAX_BYTES,
    TYPE_PREFIX,
    Body,
    Envelope,
    MalformedEnvelope,
    Visibility,
    envelope_of,
    fact_id,
)
from contracts.topics import Topic

B = TypeVar("B", bound=Body)
Headers = Sequence[tuple[str, bytes]]

_FACT_TYPE = re.compile(re.escape(TYPE_PREFIX) + r"[a-z_]+\.[a-z_]+\.v([0-9]{1,3})")

TRACEPARENT = "traceparent"


class Rejected(Exception):
    """This record can never be handled as it is. `code` is stable; `reference` names what it waits for, if anything."""

    def __init__(self, code: str, detail: str, *, reference: str | None = None) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.reference = reference


class Ignored(Exception):
    """A fact of a version that we do not read. Its publisher sends the one we read beside it, as long as we need it."""


@dataclass(frozen=True, slots=True)
class OutgoingFact:
    """A fact, serialised, validated and size-checked: whatever relays it meets no poison."""

    topic: Topic
    key: str
    envelope: Envelope
    value: bytes
    aggregate: str


def outgoing(
    event: EventType,
    body: Body,
    *,
    key: str,
    revision: int,
    time: datetime,
    visibility: Visibility,
    region: str | None = None,
    rule: int = 0,
) -> OutgoingFact:
    """Make the fact `event` of `body`. `rule` is 0 for commands, the projection's rule otherwise.

    Raises TypeError for another body than the event's, ValueError for one over BODY_MAX_BYTES.
    """
    if type(body) is not event.body:
        raise TypeError(f"{event.type} carries {event.body.__name__}, not {type(body).__name__}")
    value = body.model_dump_json().encode()
    if len(value) > BODY_MAX_BYTES:
        raise ValueError(f"{event.type} of {body.aggregate} has {len(value)} bytes; {BODY_MAX_BYTES} are allowed")
    envelope = Envelope(
        id=fact_id(aggregate=body.aggregate, revision=revision, rule=rule, type=event.type),
        type=event.type,
        source=event.source,
        subject=body.aggregate,
        time=time,
        revision=revision,
        rule=rule,
        visibility=visibility,
        region=region,
    )
    return OutgoingFact(topic=event.topic, key=key, envelope=envelope, value=value, aggregate=body.aggregate)


@dataclass(frozen=True, slots=True)
class Fact(Generic[B]):
    """A fact that was read, typed. `digest` is the same for the same fact, whoever sent it and however often."""

    envelope: Envelope
    key: str
    body: B
    digest: str
    traceparent: str | None
    value: bytes
    """The body as it was sent, for whoever hands it on."""


def incoming(record: "ConsumerRecord[bytes | None, bytes | None]", of: type[B]) -> Fact[B]:
    """Type a raw record. Raises Rejected when it is no fact or breaks its contract, Ignored for a later version."""
    try:
        envelope = envelope_of(record.headers)
    except MalformedEnvelope as error:
        raise Rejected("malformed_envelope", str(error)) from error
    version = _version(envelope.type)
    if version is None:
        raise Rejected("unknown_type", f"ce_type is {envelope.type!r}, not {TYPE_PREFIX}<noun>.<verb>.v1")
    if version != 1:
        raise Ignored(envelope.type)
    if record.value is None:
        raise Rejected("no_body", "the record has no value")
    try:
        body = of.model_validate_json(record.value)
    except ValidationError as error:
        what = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_input=False)[:5])
        raise Rejected("breaks_contract", what) from error
    if not _is_of(envelope.type, record.topic):
        raise Rejected("unknown_type", f"{envelope.type} does not belong on {record.topic}")
    try:
        key = (record.key or b"").decode()
    except UnicodeDecodeError:
        key = ""
    if not key or envelope.subject != body.aggregate:
        raise Rejected("wrong_identity", f"key or ce_subject is not that of a fact about {body.aggregate}")
    if (region := getattr(body, "region", envelope.region)) != envelope.region:
        raise Rejected("wrong_identity", f"ce_region is {envelope.region}, but the body is about {region}")
    expected = fact_id(aggregate=body.aggregate, revision=envelope.revision, rule=envelope.rule, type=envelope.type)
    if envelope.id != expected:
        raise Rejected("wrong_identity", f"ce_id is {envelope.id}, but this fact's id is {expected}")
    return Fact(
        envelope=envelope,
        key=key,
        body=body,
        digest=blake2b(envelope.type.encode() + b"\n" + record.value, digest_size=16).hexdigest(),
        traceparent=header(record.headers, TRACEPARENT),
        value=record.value,
    )


@lru_cache(maxsize=256)
def _is_of(type: str, topic: str) -> bool:
    """Topics are named after the noun: livinglab.assessment holds every assessment.*, also verbs of later versions."""
    return topic.split(".")[1] == type.removeprefix(TYPE_PREFIX).partition(".")[0]


@lru_cache(maxsize=256)
def _version(type: str) -> int | None:
    known = _FACT_TYPE.fullmatch(type)
    return int(known[1]) if known else None


def header(headers: Sequence[tuple[str, bytes | None]], name: str) -> str | None:
    """The header's text, or None where it is missing or no UTF-8."""
    for key, value in headers:
        if key == name and value is not None:
            return value.decode(errors="replace")
    return None
