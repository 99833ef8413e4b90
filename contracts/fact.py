"""The form of every fact on the wire: CloudEvents 1.0 in Kafka's binary mode (design: docs/architecture.md).

The value is the body as JSON. Everything about the fact travels in `ce_` headers, so that a consumer can
order, deduplicate and route without reading the body.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from uuid import UUID, uuid5

from pydantic import BaseModel, ConfigDict

FACT_NAMESPACE = UUID("3f0c2a9e-6a51-5d0e-9c7a-0d6d1c1f2b11")
TYPE_PREFIX = "id.livinglab."
BODY_MAX_BYTES = 900_000  # below Kafka's default limit of 1 MiB for a record with its headers


class Visibility(StrEnum):
    """`public` facts also go to the topic for outsiders; `supervised` ones only to those who may see the region."""

    PUBLIC = "public"
    SUPERVISED = "supervised"


class Frozen(BaseModel):
    """Contract models never change after they are built, and ignore fields that a newer publisher added."""

    model_config = ConfigDict(frozen=True, extra="ignore", use_attribute_docstrings=True)


class Body(Frozen, ABC):
    """The body of a fact. Every publishing noun says which aggregate its facts are about."""

    @property
    @abstractmethod
    def aggregate(self) -> str:
        """The id of the aggregate whose revision the fact carries."""


def fact_id(*, aggregate: str, revision: int, rule: int, type: str) -> UUID:
    """The identity of a fact: the same fact has the same id for ever, whoever publishes it and however often."""
    return uuid5(FACT_NAMESPACE, f"{aggregate}\n{revision}\n{rule}\n{type}")


@dataclass(frozen=True, slots=True)
class Envelope:
    """What the headers say. `region` is None for facts that are about no region (instruments, cycles)."""

    id: UUID
    type: str
    source: str
    subject: str
    time: datetime
    revision: int
    rule: int
    visibility: Visibility
    region: str | None = None

    def headers(self) -> list[tuple[str, bytes]]:
        """CloudEvents' Kafka binding, binary mode: attribute names with `ce_`, values as UTF-8."""
        attributes = {
            "ce_specversion": "1.0",
            "ce_id": str(self.id),
            "ce_type": self.type,
            "ce_source": self.source,
            "ce_subject": self.subject,
            "ce_time": self.time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "ce_revision": str(self.revision),
            "ce_rule": str(self.rule),
            "ce_visibility": self.visibility.value,
            "content-type": "application/json",
        }
        if self.region is not None:
            attributes["ce_region"] = self.region
        return [(name, value.encode()) for name, value in attributes.items()]


class MalformedEnvelope(ValueError):
    """The headers are not those of a fact; the message names the header and what is wrong with it."""


def envelope_of(headers: Sequence[tuple[str, bytes | None]]) -> Envelope:
    """Read an envelope back from a record's headers. Raises MalformedEnvelope naming the first bad header."""
    raw: Mapping[str, bytes | None] = dict(headers)

    def text(name: str) -> str:
        value = raw.get(name)
        if value is None:
            raise MalformedEnvelope(f"header {name} is missing")
        try:
            return value.decode()
        except UnicodeDecodeError as error:
            raise MalformedEnvelope(f"header {name} is not UTF-8") from error

    if text("ce_specversion") != "1.0":
        raise MalformedEnvelope("ce_specversion is not 1.0")
    try:
        time = datetime.fromisoformat(text("ce_time"))
        if time.tzinfo is None:  # would be read as local time, another instant on each machine
            raise MalformedEnvelope("ce_time has no time zone")
        if not 2000 <= time.year < 3000:  # also: at the ends of the calendar there may be no such time in UTC
            raise MalformedEnvelope("ce_time is not of this age")
        return Envelope(
            id=UUID(text("ce_id")),
            type=text("ce_type"),
            source=text("ce_source"),
            subject=text("ce_subject"),
            time=time,
            revision=_count(text("ce_revision")),
            rule=_count(text("ce_rule")),
            visibility=Visibility(text("ce_visibility")),
            region=text("ce_region") if "ce_region" in raw else None,
        )
    except MalformedEnvelope:
        raise
    except ValueError as error:
        raise MalformedEnvelope(f"a header does not hold what it should: {error}") from error


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 15):
        raise MalformedEnvelope(f"{text!r} is not a revision or rule (a whole number, 0 or more)")
    return int(text)
