"""An event as subscribers get it: CloudEvents 1.0 in structured mode. The same event has the same bytes for ever."""

from uuid import UUID, uuid5

import orjson

from contracts.fact import TYPE_PREFIX, Envelope

CONTENT_TYPE = "application/cloudevents+json"
TEST_TYPE = f"{TYPE_PREFIX}subscription.test.v1"
"""Of an event that was made to try an endpoint. It tells of nothing, and matches nothing."""
DELIVERY_NAMESPACE = UUID("0b7a4b7e-7a44-5a7c-9d52-1f6c6c1f0a77")


def structured(envelope: Envelope, value: bytes) -> bytes:
    """The event with its body inside, which is taken over as it was published, byte for byte."""
    attributes = {
        name.removeprefix("ce_"): header.decode() for name, header in envelope.headers() if name.startswith("ce_")
    }
    # Extensions that are numbers: in JSON they are numbers (CloudEvents JSON format, section 2.2).
    told = attributes | {"revision": envelope.revision, "rule": envelope.rule, "datacontenttype": "application/json"}
    return orjson.dumps(told)[:-1] + b',"data":' + value + b"}"


def delivery_id(event: str, subscription: str, *, replay: str | None = None) -> str:
    """One per event and subscription, however often the event comes; each replay has its own."""
    return str(uuid5(DELIVERY_NAMESPACE, "\n".join([event, subscription, *([replay] if replay else [])])))
