"""By e-mail and into an inbox, on the whole system: asked, confirmed, told, ended by a click."""

import asyncio
from collections.abc import Callable
from email.message import EmailMessage
from time import monotonic
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import pytest

from lab import system
from lab.parts.mail import LETTERS
from tests.acting import Region, key
from tests.e2e.test_webhooks import submit
from tests.listening import WITHIN_S, Subscriber
from tests.notify.mailserver import letters_in, link_in

pytestmark = pytest.mark.real
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


async def letters_to(address: str, living_lab: system.System, *, count: int) -> list[EmailMessage]:
    """Once there are so many."""
    deadline = monotonic() + WITHIN_S
    while True:
        found = [one for one in letters_in(living_lab.directory / "smtp" / LETTERS) if one["To"] == address]
        if len(found) >= count:
            return found
        assert monotonic() < deadline, found
        await asyncio.sleep(0.1)


def at(living_lab: system.System, link: str) -> str:
    """The link, at the address where the lab's service is."""
    parts = urlsplit(link)
    return f"{living_lab.services['notify']}{parts.path}?{parts.query}"


async def test_by_e_mail_once_its_reader_has_agreed_until_they_click(
    subscriber: Callable[..., Subscriber], visitor: httpx.AsyncClient, living_lab: system.System, region: Region
) -> None:
    address = f"kabar-{uuid4().hex[:8]}@pembina.example.go.id"
    administrator, ministry = subscriber("kemenpanrb", "administrator"), subscriber("kemendagri", "pembina")
    await administrator.send("PUT", "rights/kemendagri", json={"reach": "national"})
    asked: dict[str, Any] = {"channel": "email", "email": address, "language": "en", "types": ["assessment.*"]}
    made = await ministry.send(
        "POST", "subscriptions", json={"name": "Surel", "regions": [region.code], **asked}, headers=key()
    )
    assert (made.status_code, made.json()["secret"]) == (201, None), made.text
    name = made.json()["subscription"]

    assert (await ministry.command(name, "verification")).json()["status"] == "unproved"
    again = await ministry.command(name, "verification")
    assert (again.status_code, again.json()["code"]) == (429, "asked_too_often")
    assert int(again.headers["Retry-After"]) > 500
    [question] = await letters_to(address, living_lab, count=1)
    link = at(living_lab, link_in(question))
    page = await visitor.get(link)
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "I agree" in page.text
    seen = await ministry.send("GET", f"subscriptions/{name}")
    assert seen.json()["status"] == "unproved", "to look at a link is not to agree"
    for _ in range(2):
        assert "Thank you" in (await visitor.post(link, headers=FORM)).text
    assert (await ministry.send("GET", f"subscriptions/{name}")).json()["status"] == "active"

    await submit(region)
    by_subject = {one["Subject"].partition(": ")[2]: one for one in await letters_to(address, living_lab, count=2)}
    told = by_subject["The self-assessment was submitted"]
    assert "fakta" not in told.as_string()

    unsubscribe = at(living_lab, told["List-Unsubscribe"].strip("<>"))
    assert "Stop" in (await visitor.get(unsubscribe)).text
    ended = await visitor.post(unsubscribe, content="List-Unsubscribe=One-Click", headers=FORM)
    assert "Nothing more is sent" in ended.text
    seen = (await ministry.send("GET", f"subscriptions/{name}")).json()
    assert (seen["status"], seen["email"]) == ("closed", None)
    assert "Nothing more is sent" in (await visitor.post(link, headers=FORM)).text, "the old yes is no way back"


async def test_links_that_are_none_of_ours_change_nothing(
    visitor: httpx.AsyncClient, living_lab: system.System
) -> None:
    for path in ("confirmations", "unsubscriptions"):
        for method in ("GET", "POST"):
            answer = await visitor.request(
                method, f"{living_lab.services['notify']}/notify/v1/{path}", params={"token": "gAAAAABx"}
            )
            assert (answer.status_code, answer.headers["content-type"]) == (404, "text/html; charset=utf-8")
            assert "default-src 'none'" in answer.headers["content-security-policy"]


async def test_into_the_inbox_of_a_role_told_live_and_read_by_all(
    subscriber: Callable[..., Subscriber], region: Region
) -> None:
    administrator, ministry = subscriber("kemenpanrb", "administrator"), subscriber("kemendagri", "pembina")
    await administrator.send("PUT", "rights/kemendagri", json={"reach": "national"})
    asked = {"name": "Kotak masuk", "channel": "inbox", "role": "pembina", "regions": [region.code], "types": ["*"]}
    made = await ministry.send("POST", "subscriptions", json=asked, headers=key())
    assert (made.status_code, made.json()["status"]) == (201, "active"), made.text

    heard: list[str] = []
    async with ministry.stream("stream", params={"inbox": "pembina"}) as lines:
        await submit(region)
        async with asyncio.timeout(WITHIN_S):
            async for line in lines:
                if line.startswith("event: id.livinglab."):
                    heard.append(line.removeprefix("event: id.livinglab.").removesuffix(".v1"))
                if len(heard) == 2:
                    break
    assert sorted(heard) == ["assessment.submitted", "score.recalculated"]

    deadline = monotonic() + WITHIN_S
    while True:
        inbox = (await ministry.send("GET", "inbox", params={"role": "pembina", "unread": True})).json()
        mine = [one for one in inbox["items"] if one["event"]["region"] == region.code]
        if len(mine) == 2:
            break
        assert monotonic() < deadline, inbox
        await asyncio.sleep(0.05)
    assert {one["text_en"].partition(": ")[2].partition(":")[0] for one in mine} == {
        "The self-assessment was submitted",
        "The index was calculated",
    }
    marked = await ministry.send("POST", "inbox/marks", json={"items": [m["item"] for m in mine]}, headers=key())
    assert marked.json()["changed"] == 2
    colleague = subscriber("kemendagri", "pembina")
    seen = (await colleague.send("GET", "inbox", params={"unread": True})).json()
    assert not [one for one in seen["items"] if one["event"]["region"] == region.code]


async def test_the_contact_of_a_webhook_is_asked_like_any_other_and_ends_with_it(
    subscriber: Callable[..., Subscriber], living_lab: system.System
) -> None:
    ministry, address = subscriber("bssn", "pembina"), f"kontak-{uuid4().hex[:8]}@bssn.example.go.id"
    made = await ministry.subscribe("http://127.0.0.1:1/", "*", contact=address)
    contact = made["contact"]
    seen = (await ministry.send("GET", f"subscriptions/{contact}")).json()
    assert (seen["channel"], seen["status"], seen["types"]) == ("email", "unproved", ["subscription.disabled"])
    assert (await ministry.command(contact, "verification")).status_code == 200
    [question] = await letters_to(address, living_lab, count=1)
    async with httpx.AsyncClient(trust_env=False) as reader:
        assert (await reader.post(at(living_lab, link_in(question)))).status_code == 200
    assert (await ministry.send("GET", f"subscriptions/{contact}")).json()["status"] == "active"
    assert (await ministry.command(made["subscription"], "closing")).status_code == 200
    ended = (await ministry.send("GET", f"subscriptions/{contact}")).json()
    assert (ended["status"], ended["email"]) == ("closed", None)


async def test_what_a_channel_does_not_have_is_refused(subscriber: Callable[..., Subscriber]) -> None:
    ministry = subscriber("kemendagri", "pembina")
    for wrong in (
        {"channel": "inbox"},
        {"channel": "inbox", "role": "pembina", "url": "https://example.go.id/"},
        {"channel": "email", "email": "not an address"},
        {"channel": "email", "email": "a@pembina.example.go.id\r\nBcc: b@example.go.id"},
        {"channel": "email", "email": "a@pembina.example.go.id", "ordered": True},
        {"email": "a@pembina.example.go.id"},
        {"url": "https://example.go.id/", "digest": True},
    ):
        refused = await ministry.send(
            "POST", "subscriptions", json={"name": "U", "types": ["*"], **wrong}, headers=key()
        )
        assert (refused.status_code, refused.json()["code"]) == (422, "invalid_request"), refused.text
    asked = {"name": "U", "types": ["*"], "channel": "inbox", "role": "pembina"}
    made = (await ministry.send("POST", "subscriptions", json=asked, headers=key())).json()
    refused = await ministry.command(made["subscription"], "secret", overlap_hours=1)
    assert (refused.status_code, refused.json()["code"]) == (409, "not_for_this_channel")
    assert (await ministry.command(made["subscription"], "closing")).status_code == 200
