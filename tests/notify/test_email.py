"""E-mails: one for each event or one a day, tried again, refused for good, ended by a click."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from chassis.conditional import Expected, Stale
from chassis.outbox import Contended, Request
from chassis.store import Document
from services.notify.domain.subscription import AskedTooOften, Channel, Language, Status, Subscription
from services.notify.post import MailServer as Server
from services.notify.sender import Sender
from services.notify.usecases import confirm, subscribe
from services.notify.usecases.way import ByWebhook
from tests.notify.mailserver import MailServer, link_in, taking_letters
from tests.notify.office import Endpoint, Office, listening, manager, soon, state
from tests.notify.test_dispatch import always, only

pytestmark = pytest.mark.real
Furnish = Callable[..., Awaitable[Office]]
ADDRESS = "dasbor@pembina.example.go.id"


async def reader(office: Office, **changes: Any) -> Subscription:
    fields = {"id": "e1", "channel": Channel.EMAIL, "email": ADDRESS, "secrets": (), "name": "Dasbor <b>"}
    return await office.subscribe(None, **(fields | changes))


async def is_disabled(office: Office, name: str) -> bool:
    return (await office.stores.subscriptions.many([name]))[name].status is Status.DISABLED


async def kept(office: Office) -> list[Document]:
    return await office.parts.collection("deliveries").find({}).sort("order.revision", 1).to_list(None)


async def test_a_letter_tells_of_an_event_in_the_readers_language_as_text_and_html(furnish: Furnish) -> None:
    async with taking_letters(MailServer()) as server:
        office = await furnish(smtp_uri=server.uri, public_address="https://lab.example.go.id")
        async with office.open():
            await reader(office)
            await reader(office, id="e2", language=Language.ENGLISH)
            await office.hear(state("32.11", 1))
            await office.until(only(delivered=2))
    told = {letter["Content-Language"]: letter for letter in server.letters}
    assert told["id"]["Subject"] == "Kabupaten Sumedang: Penilaian mandiri disampaikan"
    assert told["en"]["Subject"] == "Kabupaten Sumedang: The self-assessment was submitted"
    for letter in server.letters:
        text, html = letter.get_body(("plain",)), letter.get_body(("html",))
        assert text and html
        assert letter["Subject"] in text.get_content()
        assert letter["Subject"] in html.get_content()
        assert "Dasbor <b>" in text.get_content()
        assert "Dasbor &lt;b&gt;" in html.get_content()
        assert letter["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
        assert letter["List-Unsubscribe"] == f"<{link_in(letter)}>"
        assert link_in(letter).startswith("https://lab.example.go.id/notify/v1/unsubscriptions?token=")
        assert letter["Auto-Submitted"] == "auto-generated"
        assert letter["To"] == ADDRESS


async def test_a_letter_that_failed_comes_again_under_the_same_message_id(furnish: Furnish) -> None:
    async with taking_letters(MailServer(says=["451 Later"])) as server:
        office = await furnish(smtp_uri=server.uri)
        async with office.open():
            await reader(office)
            await office.hear(state("32.11", 1))
            await office.until(only(delivered=1))
    [one] = await kept(office)
    assert [attempt["status"] for attempt in one["attempts"]] == [451, 250]
    assert server.letters[0]["Message-ID"] == f"<{one['_id']}@livinglab.id>"


async def test_an_address_that_is_refused_for_good_is_told_at_once_and_no_other_suffers(furnish: Furnish) -> None:
    async with taking_letters(MailServer(to="550 5.1.1 No such mailbox")) as server:
        office = await furnish(smtp_uri=server.uri)
        async with office.open():
            await reader(office)
            await office.hear(state("32.11", 1))
            await office.until(only(exhausted=1))
            [one] = await kept(office)
            assert [attempt["status"] for attempt in one["attempts"]] == [550]
            assert one["outbox"][0]["topic"] == "livinglab.delivery"
            server.to = None
            await reader(office, id="e2")
            await office.hear(state("32.12", 1))
            await office.until(only(exhausted=1, delivered=2))


@pytest.mark.parametrize("to", ["452 4.3.1 Out of storage", "554 5.7.1 Relay access denied", "421 Busy"])
async def test_what_a_mail_server_refuses_to_anybody_counts_against_no_address(furnish: Furnish, to: str) -> None:
    async with taking_letters(MailServer(to=to)) as server:
        office = await furnish(smtp_uri=server.uri, webhook_disable_after_s=0.01, webhook_pause_s=0.01)
        async with office.open():
            await reader(office)
            await office.hear(*(state(f"32.{n:02}", 1) for n in range(1, 4)))
            await office.until(only(exhausted=3))
            assert not await is_disabled(office, "e1")
            assert await office.endpoints.many(["e1", "mail-server"]) == {}
            assert {len(one["attempts"]) for one in await kept(office)} == {4}, "each by its schedule"
            server.to = None
            await office.hear(state("32.11", 1))
            await office.until(only(exhausted=3, delivered=1))


async def test_a_mail_server_that_is_down_disables_nobody(furnish: Furnish) -> None:
    async with taking_letters(MailServer()) as server:
        uri = server.uri
    office = await furnish(smtp_uri=uri, webhook_disable_after_s=0.01, webhook_pause_s=0.01)
    async with office.open():
        made = await reader(office)
        await office.hear(state("32.11", 1))
        await office.until(only(exhausted=1))
    found = await office.stores.subscriptions.many([made.id])
    assert found[made.id].status is Status.ACTIVE
    [one] = await kept(office)
    assert [attempt["failure"] for attempt in one["attempts"]] == ["mail_server"] * 4


async def test_webhooks_go_on_while_the_mail_server_hangs(furnish: Furnish, monkeypatch: pytest.MonkeyPatch) -> None:
    """With as many letters under way as there are places for all webhooks."""
    monkeypatch.setattr(ByWebhook, "lanes_max", 4)

    async def never(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await gone.wait()
        writer.close()
        left.set()

    gone, left = asyncio.Event(), asyncio.Event()
    hanging = await asyncio.start_server(never, "127.0.0.1", 0)
    port = hanging.sockets[0].getsockname()[1]
    office = await furnish(smtp_uri=f"smtp+plain://127.0.0.1:{port}", smtp_timeout_s=15)
    async with listening(Endpoint()) as endpoint, office.open():
        for number in range(6):
            await reader(office, id=f"e{number}")
        await office.hear(state("32.10", 1))
        await office.subscribe(endpoint.url, id="w1")
        await office.hear(*(state(f"32.{n:02}", 1) for n in range(1, 10)))
        await office.until(only(delivered=9, pending=60))
    gone.set()
    await left.wait()
    hanging.close()


async def test_a_mail_server_that_answers_nobody_disables_nobody(furnish: Furnish) -> None:
    async with taking_letters(MailServer(hangs_for=ADDRESS)) as server:
        changes: dict[str, Any] = {"smtp_timeout_s": 0.1, "webhook_disable_after_s": 0.01, "webhook_pause_s": 0.01}
        office = await furnish(smtp_uri=server.uri, **changes)
        async with office.open():
            await reader(office)
            await office.hear(state("32.11", 1))
            await office.until(only(exhausted=1))
            assert not await is_disabled(office, "e1")
            assert "e1" in await office.endpoints.many(["e1"]), "it is spared"


async def test_the_letters_of_one_do_not_stand_before_those_of_others(furnish: Furnish) -> None:
    async with taking_letters(MailServer()) as server:
        office = await furnish(smtp_uri=server.uri, smtp_concurrency=1)
        await reader(office, id="many", regions=("32",))
        await office.hear(*(state(f"32.{n:02}", 1) for n in range(1, 13)))
        await reader(office, id="one", email="lain@example.go.id", regions=("31.71",))
        await office.hear(state("31.71", 1))
        async with office.open():
            await office.until(only(delivered=13))
        assert [letter["To"] for letter in server.letters].index("lain@example.go.id") < 6


async def test_an_address_that_hangs_spares_itself_and_no_other(furnish: Furnish) -> None:
    """Some mail servers keep whoever writes to certain addresses waiting."""
    async with taking_letters(MailServer(hangs_for="tarpit@example.go.id")) as server:
        office = await furnish(smtp_uri=server.uri, smtp_timeout_s=0.3, webhook_pause_s=60.0)
        async with office.open():
            await reader(office, id="slow", email="tarpit@example.go.id", organization="32.11")
            await office.hear(*(state(f"32.{n:02}", 1) for n in range(1, 10)))
            await soon(lambda: _is_spared(office, "slow"))
            await reader(office)
            await office.hear(state("32.11", 2))
            await office.until(only(delivered=1))
        assert await office.endpoints.many(["mail-server"]) == {}


async def _is_spared(office: Office, name: str) -> bool:
    return any(health.open_until for health in (await office.endpoints.many([name])).values())


async def test_of_many_who_ask_at_once_one_letter_goes_out_and_none_for_another_subscription(
    furnish: Furnish,
) -> None:
    async with taking_letters(MailServer()) as server:
        office = await furnish(smtp_uri=server.uri)
        for name in ("e1", "e2"):
            await reader(office, id=name, status=Status.UNPROVED, active_from=None)
        found = await office.stores.subscriptions.many(["e1", "e2"])
        tags = {name: subscribe.tag(one) for name, one in found.items()}

        async def ask(name: str, key: str) -> str:
            command = subscribe.Command(
                name,
                viewer=manager("kemendagri"),
                expected=Expected(frozenset({tags[name]})),
                request=Request.of(actor="someone", key=key, asked=[]),
                subscriptions=office.stores.subscriptions,
            )
            async with Sender(office.keys, office.settings, office.watch) as sender:
                try:
                    done = await subscribe.verify(command, sender, office.post(), office.stores.lanes, office.endpoints)
                except (AskedTooOften, Stale, Contended) as refused:
                    return refused.code
            return "replayed" if done.replayed else "asked"

        answers = await asyncio.gather(*(ask("e1", str(n)) for n in range(20)))
        assert answers.count("asked") == 1
        assert await ask("e1", str(answers.index("asked"))) == "replayed"
        assert await ask("e2", "other") == "asked_too_often"
    assert len(server.letters) == 1


async def test_a_digest_tells_of_all_that_came_in_one_letter(furnish: Furnish) -> None:
    async with taking_letters(MailServer()) as server:
        office = await furnish(smtp_uri=server.uri, email_digest_every_s=3.0)
        async with office.open():
            await reader(office, digest=True)
            await office.hear(*(state(f"32.{n:02}", 1) for n in range(1, 10)))
            [due] = {one["due_at"] for one in await kept(office)}
            await office.until(only(delivered=9))
            [letter] = server.letters
            assert letter["Subject"] == "9 kabar dari Living Lab"
            await office.hear(state("32.11", 2))
            await office.until(only(delivered=10))
    assert len(server.letters) == 2
    attempts = [one["attempts"][0]["at"] for one in await kept(office)]
    assert min(attempts) >= due


async def test_a_digest_that_fails_comes_again_as_one(furnish: Furnish) -> None:
    async with taking_letters(MailServer(says=["451 Later"] * 9)) as server:
        office = await furnish(smtp_uri=server.uri, email_digest_every_s=0.5)
        async with office.open():
            await reader(office, digest=True)
            await office.hear(*(state(f"32.{n:02}", 1) for n in range(1, 6)))
            await office.until(only(exhausted=5))
    assert server.letters == []
    tries = [len(one["attempts"]) for one in await kept(office)]
    assert tries == [4] * 5


async def test_links_confirm_and_end_a_subscription_however_often(furnish: Furnish) -> None:
    office = await furnish()
    made = await reader(office, status=Status.UNPROVED, active_from=None)
    subscriptions, lanes = office.stores.subscriptions, office.stores.lanes

    async def agree() -> bool:
        return await confirm.confirm(made.id, subscriptions=subscriptions, lanes=lanes, endpoints=office.endpoints)

    async def now() -> Subscription:
        return (await subscriptions.many([made.id]))[made.id]

    assert [await agree(), await agree()] == [True, True]
    assert (await now()).status is Status.ACTIVE
    for _ in range(2):
        await confirm.unsubscribe(made.id, subscriptions=subscriptions, lanes=lanes)
    after = await now()
    assert (after.status, after.email, after.version) == (Status.CLOSED, None, 3)
    assert await agree() is False
    history = await office.parts.collection("history").find({}).to_list(None)
    assert ADDRESS not in str(history), "nobody's address is kept for ever"


async def test_what_waits_for_a_digest_is_withheld_once_its_reader_wants_no_more(furnish: Furnish) -> None:
    office = await furnish(email_digest_every_s=86_400.0)
    made = await reader(office, digest=True)
    await office.hear(*(state(f"32.{n:02}", 1) for n in range(1, 6)))
    async with office.open():
        await office.until(only(pending=5))
        await confirm.unsubscribe(made.id, subscriptions=office.stores.subscriptions, lanes=office.stores.lanes)
        await office.until(only(withheld=5))


async def test_the_owners_contact_is_told_when_the_webhook_is_disabled_and_of_nothing_else(furnish: Furnish) -> None:
    async with taking_letters(MailServer()) as server, listening(Endpoint(answers=always(410))) as endpoint:
        office = await furnish(smtp_uri=server.uri)
        async with office.open():
            for name in ("w1", "w2"):
                await office.subscribe(endpoint.url, id=name, types=("assessment.*",))
            await reader(office, types=("subscription.disabled",), about="w1")
            await office.hear(state("32.11", 1))
            for name in ("w1", "w2"):
                await soon(lambda name=name: is_disabled(office, name))
            await office.hear_of_itself()
            await office.until(lambda statuses: statuses["delivered"] == 1)
    [letter] = server.letters
    assert letter["Subject"] == "Langganan dinonaktifkan: tujuannya tidak mau menerima lagi (410)"


@pytest.mark.parametrize(
    ("uri", "server"),
    [
        ("smtp://a%40b:p%2Fw@mail.go.id", Server("mail.go.id", 587, "smtp", "a@b", "p/w")),
        ("smtps://mail.go.id", Server("mail.go.id", 465, "smtps")),
        ("smtp+plain://127.0.0.1:2525", Server("127.0.0.1", 2525, "smtp+plain")),
        ("smtp+plain://mail.internal:1025", Server("mail.internal", 1025, "smtp+plain")),
    ],
)
async def test_a_uri_names_the_mail_server(uri: str, server: Server) -> None:
    assert Server.parse(uri) == server


@pytest.mark.parametrize(
    "uri", ["", "mail.go.id:25", "http://mail.go.id", "smtp://:secret@", "smtp+plain://u:secret@mail.go.id"]
)
async def test_what_names_no_mail_server_is_refused_without_showing_it(uri: str) -> None:
    with pytest.raises(ValueError, match="SMTP_URI is not") as refused:
        Server.parse(uri)
    assert "secret" not in str(refused.value)
