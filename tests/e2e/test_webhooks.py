"""A ministry and a province subscribe; a region submits; each hears what it may, signed, once it was proved."""

from collections.abc import Callable

import pytest

from tests.acting import Region
from tests.listening import Listener, Subscriber

pytestmark = pytest.mark.real


async def submit(region: Region) -> None:
    await region.open()
    await region.fill(3)
    assert (await region.submit()).status_code == 200


async def test_from_a_regions_submission_to_a_ministrys_receiver(
    subscriber: Callable[..., Subscriber], listeners: Callable[[str], Listener], region: Region
) -> None:
    administrator = subscriber("kemenpanrb", "administrator")
    ministry = subscriber("kemendagri", "pembina")
    assert (await administrator.send("PUT", "rights/kemendagri", json={"reach": "national"})).status_code == 200
    listener = listeners("kemendagri")

    made = await ministry.subscribe(listener.url, "assessment.*", "score.recalculated", regions=[region.code])
    assert made["status"] == "unproved"
    proved = await ministry.command(made["subscription"], "verification")
    assert (proved.status_code, proved.json()["status"]) == (200, "active"), proved.text

    await submit(region)
    seen = await listener.until(lambda seen: seen["refused"] >= 2)
    assert not seen["events"]  # it does not know the secret yet
    await listener.told(secrets=[made["secret"]])
    seen = await listener.until(lambda seen: len(seen["events"]) == 2)
    assert {event["type"] for event in seen["events"]} == {
        "id.livinglab.assessment.submitted.v1",
        "id.livinglab.score.recalculated.v1",
    }
    assert all(event["region"] == region.code for event in seen["events"])

    [submitted] = await ministry.deliveries(event=seen["events"][0]["id"], subscription=made["subscription"])
    assert submitted["status"] == "delivered"
    assert [attempt["status"] for attempt in submitted["attempts"]] == [401, 204]


async def test_a_region_without_a_right_hears_what_is_public_only(
    subscriber: Callable[..., Subscriber], listeners: Callable[[str], Listener], region: Region
) -> None:
    neighbour = subscriber("73.71", "penanggung-jawab")
    listener = listeners("makassar")
    made = await neighbour.subscribe(listener.url, "*")
    await listener.told(secrets=[made["secret"]])
    assert (await neighbour.command(made["subscription"], "verification")).status_code == 200
    await submit(region)
    administrator = subscriber("kemenpanrb", "administrator")
    await administrator.send("PUT", "rights/kemenpanrb", json={"reach": "national"})
    assert not (await listener.received())["events"]
    assert await neighbour.deliveries() == []


async def test_an_endpoint_that_does_not_agree_stays_unproved(subscriber: Callable[..., Subscriber]) -> None:
    ministry = subscriber("kemendagri", "pembina")
    made = await ministry.subscribe("http://127.0.0.1:1/", "*")
    refused = await ministry.command(made["subscription"], "verification")
    assert (refused.status_code, refused.json()["code"]) == (409, "endpoint_not_proved")
    assert refused.json()["failure"] == "connect"
    seen = await ministry.send("GET", f"subscriptions/{made['subscription']}")
    assert seen.json()["status"] == "unproved"
