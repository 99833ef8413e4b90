"""Subscriptions; each query of people asks as somebody."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from datetime import datetime
from typing import Any

from pymongo import IndexModel

from chassis.clock import now
from chassis.outbox import AlreadyThere, Change, Done, KeyReused, Note, Outbox, Request
from chassis.problem import NotFound
from chassis.records import OutgoingFact
from chassis.service import Parts
from chassis.store import Document, ensure_indexes
from chassis.viewer import REVIEWING_MINISTRY, Viewer
from contracts.notify import Why
from contracts.roles import Role
from services.notify.domain.matching import asked_tokens
from services.notify.domain.right import Kind, Right
from services.notify.domain.subscription import LISTENING, Channel, Language, Secret, Status, Subscription

MANAGERS = (Role.RESPONSIBLE, Role.COORDINATOR, Role.REVIEWER, Role.SUPERVISOR, Role.EXTERNAL_ASSESSOR)
"""Who subscribes for an organization: those whose role lets them see something of it."""
INBOXES_MAX = 100
_NOT_READ: Document = {"tokens": 0, "outbox": 0, "requests": 0}
_NOT_NOTED = frozenset({"secrets", "tokens", "email"})


class _AsItWas(Exception):
    """Nothing is to be written."""


class Subscriptions:
    """What organizations asked for."""

    def __init__(self, parts: Parts) -> None:
        self._outbox: Outbox = parts.outbox("subscriptions")

    async def prepare(self) -> None:
        """Indexes for what events ask with, and for an organization's list."""
        await ensure_indexes(
            self._outbox.aggregates,
            [
                IndexModel([("tokens", 1), ("_id", 1)], name="tokens"),
                IndexModel([("organization", 1), ("_id", 1)], name="organization"),
                IndexModel([("email", 1), ("asked_at", 1)], name="email", sparse=True),
            ],
        )

    async def create(self, made: Subscription, *, outcome: Document, request: Request) -> Done:
        """Raises KeyReused."""
        change = Change(set=_document(made), notes=[_note(made, version=1, what="made", by=made.by)], outcome=outcome)
        try:
            return await self._outbox.create(made.id, change, request=request)
        except AlreadyThere as error:  # so much was done with it since that the request is forgotten
            raise KeyReused from error

    async def change(
        self,
        subscription_id: str,
        *,
        viewer: Viewer,
        what: str,
        decide: Callable[[Subscription], Subscription],
        outcome: Document | None = None,
        request: Request | None = None,
    ) -> Done:
        """What its owner does. Raises NotFound, KeyReused, and what `decide` does."""

        def change(document: Document) -> Change:
            before = read(document)
            after = decide(before)
            note = _note(after, version=before.version + 1, what=what, by=viewer.actor)
            return Change(set=_document(after), notes=[note], outcome=outcome or {})

        where: Document = {"$and": [{"_id": subscription_id}, _visible(viewer)]}
        return await self._outbox.change(lambda: self._find(where), change, request=request)

    async def settle(
        self,
        subscription_id: str,
        *,
        what: str,
        decide: Callable[[Subscription], tuple[Subscription, OutgoingFact | None]],
    ) -> None:
        """What nobody who signed in does: we ourselves, or whoever brings a link that we sealed.

        What `decide` returns as it was is not written. Raises NotFound, and what `decide` does.
        """

        def change(document: Document) -> Change:
            before = read(document)
            after, fact = decide(before)
            if after is before:
                raise _AsItWas
            note = _note(after, version=before.version + 1, what=what, by="")
            return Change(set=_document(after), facts=[fact] if fact else [], notes=[note])

        with suppress(_AsItWas):
            await self._outbox.change(lambda: self._find({"_id": subscription_id}), change)

    async def get(self, subscription_id: str, *, viewer: Viewer) -> Subscription:
        """Raises NotFound, also for what the viewer may not see."""
        return read(await self._find({"$and": [{"_id": subscription_id}, _visible(viewer)]}))

    async def page(self, *, viewer: Viewer, after: str | None, limit: int) -> list[Subscription]:
        """By id, those after `after`, as far as the viewer sees."""
        clauses = [_visible(viewer), {"_id": {"$gt": after}} if after else {}]
        found = self._outbox.aggregates.find({"$and": clauses}, _NOT_READ).sort("_id", 1).limit(limit)
        return [read(document) for document in await found.to_list(None)]

    async def of_inboxes(self, roles: Iterable[Role], *, viewer: Viewer) -> list[Subscription]:
        """What comes into the inboxes of these roles, INBOXES_MAX at most."""
        named = [role.value for role in roles if viewer.organization and viewer.may(role, at=viewer.organization)]
        where: Document = {
            "organization": viewer.organization,
            "channel": Channel.INBOX.value,
            "role": {"$in": named},
            "status": {"$in": [status.value for status in LISTENING]},
        }
        found = await self._outbox.aggregates.find(where, _NOT_READ).sort("_id", 1).limit(INBOXES_MAX).to_list(None)
        return [read(document) for document in found]

    async def others_asked(self, subscription: Subscription, *, since: datetime) -> bool:
        """Whether the reader of its address was asked by another subscription, whosever it is."""
        where: Document = {"email": subscription.email, "asked_at": {"$gt": since}, "_id": {"$ne": subscription.id}}
        return await self._outbox.aggregates.find_one(where, {"_id": 1}) is not None

    # For workers, who act for all of them

    async def asking(self, tokens: Collection[str], *, after: str, limit: int) -> list[tuple[Subscription, set[str]]]:
        """Those that listen to any of the tokens, by id, with their tokens."""
        where: Document = {"tokens": {"$in": list(tokens)}, "_id": {"$gt": after}}
        found = self._outbox.aggregates.find(where, {"outbox": 0, "requests": 0}).sort("_id", 1).limit(limit)
        return [(read(document), set(document["tokens"])) for document in await found.to_list(None)]

    async def many(self, ids: Iterable[str]) -> Mapping[str, Subscription]:
        """By id."""
        found = await self._outbox.aggregates.find({"_id": {"$in": list(ids)}}, _NOT_READ).to_list(None)
        return {document["_id"]: read(document) for document in found}

    async def _find(self, where: Document) -> Document:
        document = await self._outbox.aggregates.find_one(where)
        if document is None:
            raise NotFound
        return document


def may_manage(viewer: Viewer) -> bool:
    """Whether the viewer may subscribe for their organization."""
    return viewer.organization is not None and viewer.may(*MANAGERS, at=viewer.organization)


def is_administrator(viewer: Viewer) -> bool:
    """Of the whole platform: sets rights and networks, and sees no event by it."""
    return viewer.may(Role.ADMINISTRATOR, at=REVIEWING_MINISTRY)


def _visible(viewer: Viewer) -> Document:
    if is_administrator(viewer):
        return {}
    return {"organization": viewer.organization} if may_manage(viewer) else {"_id": {"$in": []}}


def _document(subscription: Subscription) -> Document:
    fields = asdict(subscription)
    del fields["id"], fields["version"]
    fields["status"] = subscription.status.value
    fields["disabled_for"] = subscription.disabled_for and subscription.disabled_for.value
    fields["channel"], fields["language"] = subscription.channel.value, subscription.language.value
    fields["role"] = subscription.role and subscription.role.value
    fields["right"]["kind"] = subscription.right.kind.value
    listens = subscription.status in LISTENING
    asked = (subscription.types, subscription.regions, subscription.groups)
    fields["tokens"] = asked_tokens(*asked) if listens else []
    return fields


def _note(subscription: Subscription, *, version: int, what: str, by: str) -> Note:
    """What was done, kept for ever; no secret, sealed or not, and nobody's address."""
    said: dict[str, Any] = {k: v for k, v in _document(subscription).items() if k not in _NOT_NOTED}
    fields = {"_id": f"{subscription.id}/{version}", "subscription": subscription.id, "what": what, "at": now()}
    return Note("history", {**said, **fields, "by": by})


def read(document: Document) -> Subscription:
    """A subscription as it is kept."""
    right: Document = document["right"]
    secrets: Sequence[Document] = document["secrets"]
    why: str | None = document["disabled_for"]
    return Subscription(
        id=document["_id"],
        organization=document["organization"],
        by=document["by"],
        right=Right(Kind(right["kind"]), roots=tuple(right["roots"]), actor=right["actor"]),
        name=document["name"],
        channel=Channel(document["channel"]),
        types=tuple(document["types"]),
        regions=tuple(document["regions"]),
        groups=tuple(document["groups"]),
        ordered=document["ordered"],
        rate_per_minute=document["rate_per_minute"],
        url=document["url"],
        secrets=tuple(Secret(**secret) for secret in secrets),
        email=document["email"],
        language=Language(document["language"]),
        digest=document["digest"],
        asked_at=document["asked_at"],
        role=Role(document["role"]) if document["role"] else None,
        about=document["about"],
        status=Status(document["status"]),
        active_from=document["active_from"],
        allowed_rate=document["allowed_rate"],
        networks=tuple(document["networks"]),
        disabled_for=Why(why) if why else None,
        revision=document["revision"],
        version=document["version"],
    )
