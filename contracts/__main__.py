"""Writes what others read: JSON Schemas, AsyncAPI, docs/telemetry.md. `python -m contracts [--check]`."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

from contracts import events, topics
from contracts.events import EventType
from contracts.fact import BODY_MAX_BYTES, Visibility
from contracts.telemetry.page import page
from contracts.topics import Topic

HERE = Path(__file__).parent
KAFKA_BINDING = "0.5.0"

# Public from their first moment; facts about a region become public with its consent to publication, scores with it.
ALWAYS_PUBLIC = (
    events.INSTRUMENT_PUBLISHED,
    events.CYCLE_OPENED,
    events.ASSESSMENT_PUBLISHED,
    events.VISIT_RECORDED,
    events.COMMITMENT_OPENED,
    events.COMMITMENT_SIGNED,
    events.COMMITMENT_ENTERED_FORCE,
    events.COMMITMENT_COMPLETED,
    events.COMMITMENT_WITHDRAWN,
)
SOME_PUBLIC = (
    events.SCORE_RECALCULATED,
    events.PLEDGE_PROGRESSED,
    events.PLEDGE_FULFILLED,
    events.PLEDGE_MISSED,
    events.FOLLOWUP_RECORDED,
    events.FOLLOWUP_OVERDUE,
)

Json = dict[str, Any]


def schema(event: EventType) -> Json:
    """The JSON Schema of the fact's body, draft 2020-12. Unknown fields are allowed: a newer publisher may add some."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **event.body.model_json_schema()}


def asyncapi() -> Json:
    """All topics and facts as an AsyncAPI 3.0 document. Addresses of brokers are each deployment's own."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Indonesia Digital Services Living Lab: facts",
            "version": "1.0.0",
            "description": (
                "Facts as CloudEvents 1.0 in Kafka's binary mode: attributes in `ce_` headers, the body as JSON. "
                "The same fact has the same `ce_id` for ever and may arrive more than once, late, or out of order: "
                "order by (`ce_revision`, `ce_rule`) within one `ce_type` and `ce_subject`. Ignore unknown fields. "
                "The Lab never decides the official index: what it computes is the region's own portrait."
            ),
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": {_short(topic): _channel(topic) for topic in topics.ALL},
        "operations": {f"send.{_short(topic)}": _operation(topic) for topic in topics.ALL},
        "components": {"messages": {event.name: _message(event) for event in events.ALL}},
    }


def facts_on(topic: Topic) -> tuple[EventType, ...]:
    """What may be read from the topic."""
    return (
        ALWAYS_PUBLIC + SOME_PUBLIC
        if topic is topics.PUBLIC
        else tuple(event for event in events.ALL if event.topic is topic)
    )


def _short(topic: Topic) -> str:
    return topic.name.rpartition(".")[2]


def _channel(topic: Topic) -> Json:
    config = topic.config()
    return {
        "address": topic.name,
        "title": topic.name,
        "description": f"{topic.about}. Order is promised per key ({topic.key}), nowhere else. Kept for ever.",
        "messages": {event.name: {"$ref": f"#/components/messages/{event.name}"} for event in facts_on(topic)},
        "bindings": {
            "kafka": {
                "topic": topic.name,
                "partitions": topic.partitions,
                "topicConfiguration": {
                    "cleanup.policy": [config["cleanup.policy"]],
                    "retention.ms": int(config["retention.ms"]),
                    "retention.bytes": int(config["retention.bytes"]),
                },
                "bindingVersion": KAFKA_BINDING,
            }
        },
    }


def _operation(topic: Topic) -> Json:
    channel = f"#/channels/{_short(topic)}"
    publishers = sorted({event.publisher for event in facts_on(topic)})
    return {
        "action": "send",
        "channel": {"$ref": channel},
        "summary": f"Sent by {' and '.join(publishers)}, read by whoever may.",
        "messages": [{"$ref": f"{channel}/messages/{event.name}"} for event in facts_on(topic)],
    }


def _message(event: EventType) -> Json:
    return {
        "name": event.type,
        "title": event.name,
        "summary": event.about,
        "contentType": "application/json",
        "headers": _headers(event),
        "payload": {
            "schemaFormat": "application/schema+json;version=draft-2020-12",
            "schema": {"$ref": f"schemas/{event.name}.json"},
        },
        "bindings": {
            "kafka": {"key": {"type": "string", "description": event.topic.key}, "bindingVersion": KAFKA_BINDING}
        },
    }


def _headers(event: EventType) -> Json:
    count = {"type": "string", "pattern": "^[0-9]{1,15}$"}
    visibilities = [Visibility.PUBLIC.value] if event in ALWAYS_PUBLIC else [v.value for v in Visibility]
    required: Json = {
        "ce_specversion": {"const": "1.0"},
        "ce_id": {"type": "string", "format": "uuid", "description": "UUIDv5 of aggregate, revision, rule and type."},
        "ce_type": {"const": event.type},
        "ce_source": {"const": event.source},
        "ce_subject": {"type": "string", "minLength": 1, "description": "The aggregate's id."},
        "ce_time": {"type": "string", "format": "date-time", "description": "UTC, milliseconds."},
        "ce_revision": count | {"description": "Raised by one with each fact of the aggregate."},
        "ce_rule": count | {"description": "Raised when the same input would give another body; 0 for commands."},
        "ce_visibility": {"enum": visibilities, "description": "`public` facts are also on livinglab.public."},
        "content-type": {"const": "application/json"},
    }
    optional: Json = {
        "traceparent": {"type": "string", "description": "W3C Trace Context."},
        "epoch": {
            "type": "string",
            "pattern": "^[0-9]+$",
            "description": "How often the topic was rebuilt. When it rises, read the partition from its beginning.",
        },
        "rebuilt-at": {
            "type": "string",
            "pattern": "^[0-9]+$",
            "description": "When last from what was kept, in milliseconds since 1970: older facts are history.",
        },
    }
    if region := event.body.model_fields.get("region"):
        where = {"type": "string", "description": "Kemendagri code as text.", "examples": ["32.11"]}
        (optional if type(None) in get_args(region.annotation) else required)["ce_region"] = where
    return {
        "type": "object",
        "description": f"Kafka headers, UTF-8. The body has at most {BODY_MAX_BYTES} bytes.",
        "properties": required | optional,
        "required": list(required),
    }


def documents() -> dict[Path, bytes]:
    """Every generated file with its bytes: the same bytes for the same contracts."""
    found = {HERE / "schemas" / f"{event.name}.json": schema(event) for event in events.ALL}
    found[HERE / "asyncapi.json"] = asyncapi()
    written = {
        path: (json.dumps(document, ensure_ascii=False, indent=2) + "\n").encode() for path, document in found.items()
    }
    return written | {HERE.parent / "docs" / "telemetry.md": page().encode()}


def differing() -> Iterator[Path]:
    """Generated files that are missing, stale, or left over from a fact that is no more."""
    wanted = documents()
    for path, content in wanted.items():
        if not path.is_file() or path.read_bytes() != content:
            yield path
    yield from sorted(set((HERE / "schemas").glob("*")) - wanted.keys())


def main(arguments: list[str]) -> int:
    """Exit status: 0, 1 when `--check` finds a difference, 2 for unknown arguments."""
    if arguments not in ([], ["--check"]):
        print("usage: python -m contracts [--check]", file=sys.stderr)
        return 2
    if arguments:
        different = [path.relative_to(HERE.parent) for path in differing()]
        for path in different:
            print(f"{path} differs from the contracts; run `python -m contracts`", file=sys.stderr)
        return 1 if different else 0
    wanted = documents()
    for path, content in wanted.items():
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
    for path in set((HERE / "schemas").glob("*")) - wanted.keys():
        path.unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
