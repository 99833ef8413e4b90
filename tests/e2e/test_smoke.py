"""One test per service on the real parts, for every commit."""

from collections.abc import Callable, Iterator

import httpx
import pytest

from lab import system
from tests.acting import Region, Tokens, key
from tests.committing import drafted
from tests.listening import Listener, Subscriber

pytestmark = pytest.mark.smoke


async def test_assessment_takes_a_region_from_a_draft_to_a_submission(region: Region) -> None:
    assert (await region.open()).status_code == 201
    assert (await region.fill(3)).status_code == 200
    assert (await region.read())["progress"]["missing"] == []
    submitted = await region.submit()
    assert (submitted.status_code, submitted.json()["status"]) == (200, "submitted"), submitted.text


async def test_scoring_shows_the_score_of_what_was_submitted(region: Region) -> None:
    await region.open()
    await region.fill(3)
    await region.submit()
    shown = (await region.score())["scores"]["self"]
    assert (shown["index"], shown["predicate"]) == ({"value": "3", "shown": "3.00"}, "Baik")


async def test_commitment_opens_a_text_and_takes_a_signature(
    commitment: httpx.AsyncClient, tokens: Tokens, living_lab: system.System, free_regions: Iterator[str]
) -> None:
    two = sorted(next(free_regions) for _ in range(2))
    one = await drafted(commitment, tokens, living_lab.directory / "pki", two[0], two)
    signed = await one.sign(two[0], text_sha256=(await one.open())["text_sha256"])
    assert signed.status_code == 200, signed.text
    assert [signature["organization"] for signature in (await one.get())["signatures"]] == [two[0]]


async def test_notify_hands_a_test_event_to_an_endpoint_that_agreed(
    subscriber: Callable[..., Subscriber], listeners: Callable[[str], Listener]
) -> None:
    ministry, listener = subscriber("kemendagri", "pembina"), listeners("smoke")
    made = await ministry.subscribe(listener.url, "*")
    await listener.told(secrets=[made["secret"]])
    assert (await ministry.command(made["subscription"], "verification")).status_code == 200
    sent = await ministry.send("POST", f"subscriptions/{made['subscription']}/test", headers=key())
    assert sent.status_code == 202, sent.text
    await listener.until(lambda seen: any(event["type"].endswith("subscription.test.v1") for event in seen["events"]))
