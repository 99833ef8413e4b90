"""`livinglab audit verify`: whether trails of commitments, documents and checkpoints are as they were written.

Read-only. It believes nothing but hashes, signatures, and what stands in several places: the entries, the state, the
documents, the archive of facts, the checkpoints, Kafka, and checkpoints that somebody kept elsewhere.
"""

from base64 import b64decode
from collections import defaultdict
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson
from aiokafka import AIOKafkaConsumer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from pydantic import ValidationError

from chassis.producer import client_options
from chassis.settings import Settings
from chassis.store import Database, Document, connect
from contracts import topics
from contracts.commitment import CommitmentState, CommitmentStatus
from lab.errors import LabError
from services.commitment.domain import checkpoint, trail
from services.commitment.domain.checkpoint import Checkpoint
from services.commitment.domain.commitment import Commitment
from services.commitment.domain.trail import Act, Finding, Head

SERVICE = "commitment"
STATUS_AFTER: Mapping[str, CommitmentStatus] = {
    Act.OPENED: CommitmentStatus.OPEN,
    Act.ENTERED_FORCE: CommitmentStatus.IN_FORCE,
    Act.COMPLETED: CommitmentStatus.COMPLETED,
    Act.WITHDRAWN: CommitmentStatus.WITHDRAWN,
}
CHANGES = frozenset({Act.SIGNED, Act.SEALED})
"""Acts by which a document grew."""


@dataclass(frozen=True, slots=True)
class Audited:
    """What was looked at, and what does not fit."""

    commitments: int
    entries: int
    documents: int
    heads: int
    """In facts, on Kafka where it was asked, and in checkpoints."""
    checkpoints: int
    findings: Sequence[Finding]


def public_keys(content: bytes) -> list[Ed25519PublicKey]:
    """The answer of `GET /commitment/v1/audit/keys`, kept. Raises LabError."""
    try:
        told = orjson.loads(content)["items"]
        return [Ed25519PublicKey.from_public_bytes(b64decode(one["public_key"])) for one in told]
    except (ValueError, KeyError, TypeError) as error:
        raise LabError("The file of keys must be what GET /commitment/v1/audit/keys answers") from error


def kept(path: Path) -> Checkpoint:
    """A checkpoint that somebody kept: the answer of `GET /commitment/v1/audit/checkpoint`. Raises LabError."""
    try:
        return Checkpoint.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise LabError(f"{path} is no checkpoint as GET /commitment/v1/audit/checkpoint answers") from error


async def verify(
    settings: Settings,
    *,
    keys: Sequence[Ed25519PublicKey],
    kept_elsewhere: Sequence[Checkpoint] = (),
    kafka: bool = False,
) -> Audited:
    """Everything there is. Raises LabError where the database does not answer."""
    client, database = connect(settings, service=SERVICE)
    try:
        return await _verify(database, settings, keys, kept_elsewhere, kafka=kafka)
    finally:
        client.close()


async def _verify(
    database: Database,
    settings: Settings,
    keys: Sequence[Ed25519PublicKey],
    kept_elsewhere: Sequence[Checkpoint],
    *,
    kafka: bool,
) -> Audited:
    trails: dict[str, list[Document]] = defaultdict(list)
    async for entry in database["audit"].find().sort("_id", 1):
        trails[entry.get("commitment", "")].append(entry)
    found: list[Finding] = []
    documents = 0
    known: set[str] = set()
    async for document in database["commitments"].find():
        commitment = Commitment.model_validate(document["state"])
        known.add(commitment.commitment)
        filed = trails[commitment.commitment]
        pending = [one["document"] for one in document["outbox"] if one.get("collection") == "audit"]
        entries = [*filed, *(one for one in pending if one["_id"] not in {entry["_id"] for entry in filed})]
        trails[commitment.commitment] = entries
        found += trail.verify(commitment.commitment, entries, commitment.trail)
        found += _state(commitment, entries)
        papers = await _papers(database, commitment, entries)
        documents += len(commitment.papers)
        found += papers
    for commitment_id in trails.keys() - known:
        said = "there are entries of a commitment that is not there"
        found.append(Finding(code="commitment_missing", about=commitment_id, said=said))
    heads = [head async for head in _archived(database)]
    if kafka:
        heads += await _on_kafka(settings)
    for commitment_id, head in heads:
        if not trail.holds(trails.get(commitment_id, ()), head):
            said = f"a fact says that entry {head.entries} was another one, or the trail is shorter now"
            found.append(Finding(code="fact_differs", about=commitment_id, said=said))
    made = [Checkpoint.model_validate(one) async for one in database["checkpoints"].find().sort("_id", 1)]
    if keys:
        found += checkpoint.verify(made, trails, keys=keys, kept=kept_elsewhere)
    return Audited(len(known), sum(map(len, trails.values())), documents, len(heads), len(made), found)


def _state(commitment: Commitment, entries: Sequence[Mapping[str, Any]]) -> list[Finding]:
    """What the commitment says of itself is what its acts came to: status, texts, parties, signatories, signatures."""
    by_act: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    standing: dict[Any, Mapping[str, Any]] = {}
    status, in_force = CommitmentStatus.DRAFT, None
    for entry in entries:
        act, about = entry.get("act", ""), _about(entry)
        by_act[act].append(about)
        if act in (Act.PARTY_NAMED, Act.JOINED):
            standing[about.get("organization")] = about  # on a sheet of its own, where it missed the closing
        status = STATUS_AFTER.get(act, status)
        in_force = about.get("edition") if act == Act.ENTERED_FORCE else in_force
    blocks = {one.get("block") for one in standing.values()}
    signatories = {one.get("block"): one.get("signatory_sha256") for one in by_act[Act.SIGNATORY_NAMED]}
    signed = [*by_act[Act.SIGNED], *by_act[Act.PAPER_RECORDED]]
    parties = commitment.parties
    told: dict[str, tuple[Mapping[Any, Any], Mapping[Any, Any]]] = {
        "status": ({"": (status, in_force)}, {"": (commitment.status, commitment.in_force)}),
        "text": (
            {one.get("edition"): one.get("text_sha256") for one in by_act[Act.OPENED]},
            {edition: text.sha256() for edition, text in commitment.texts.items()},
        ),
        "party": (
            {one.get("block"): (one.get("organization"), one.get("role")) for one in standing.values()},
            {block: (party.organization, party.role) for block, party in parties.items()},
        ),
        "signatory": (
            {block: digest for block, digest in signatories.items() if block in blocks},
            {block: trail.digest(party.signatory) for block, party in parties.items() if party.signatory},
        ),
        "signature": (
            {f"{one.get('edition')}/{one.get('block')}": one.get("signature_sha256") for one in signed},
            {place: trail.digest(one) for place, one in commitment.signatures.items()},
        ),
    }
    return [
        Finding(
            code=f"{what}_differs", about=f"{commitment.commitment} {place}".rstrip(), said=_why(acts, there, place)
        )
        for what, (acts, there) in told.items()
        for place in sorted(acts.keys() | there.keys(), key=str)
        if acts.get(place) != there.get(place)
    ]


def _why(acts: Mapping[Any, Any], there: Mapping[Any, Any], place: object) -> str:
    if place not in acts:
        return "it has no entry in the trail"
    return "it is not what the trail says" if place in there else "the trail has it, the commitment does not"


def _about(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    """Also of an entry that somebody put there by hand."""
    about = entry.get("about")
    return about if isinstance(about, Mapping) else {}


async def _papers(database: Database, commitment: Commitment, entries: Iterable[Mapping[str, Any]]) -> list[Finding]:
    """Each paper's bytes give the hashes that its acts name, one after the other."""
    found: list[Finding] = []
    for sheet in commitment.papers.values():
        where = {"commitment": commitment.commitment, "paper": sheet.paper}
        increments = {one["_id"]: one async for one in database["revisions"].find(where)}
        steps = [sheet.first_sha256] + [
            str(_about(entry).get("after_sha256"))
            for entry in entries
            if entry.get("act") in CHANGES and _about(entry).get("paper") == sheet.paper
        ]
        about = f"{commitment.commitment} paper {sheet.paper}"
        whole = b""
        for number, step in enumerate(steps):
            whole += increments[step]["bytes"] if step in increments else b""
            if sha256(whole).hexdigest() != step:
                said = f"its revision {number} is not what was signed"
                found.append(Finding(code="document_changed", about=about, said=said))
                break
        if steps[-1] != sheet.sha256:
            found.append(Finding(code="document_changed", about=about, said="its last revision is not in the trail"))
    return found


async def _archived(database: Database) -> AsyncGenerator[tuple[str, Head]]:
    where = {"topic": topics.COMMITMENT.name}
    async for fact in database["facts"].find(where):
        yield _head_in(fact["value"])


async def _on_kafka(settings: Settings) -> list[tuple[str, Head]]:
    """Of every fact that Kafka still has."""
    consumer = AIOKafkaConsumer(
        topics.COMMITMENT.name, **client_options(settings), group_id=None, auto_offset_reset="earliest"
    )
    await consumer.start()
    try:
        ends = await consumer.end_offsets(consumer.assignment())
        found: list[tuple[str, Head]] = []
        while any([await consumer.position(place) < end for place, end in ends.items()]):
            for records in (await consumer.getmany(timeout_ms=500)).values():
                found += [_head_in(record.value or b"") for record in records]
        return found
    finally:
        await consumer.stop()


def _head_in(value: bytes) -> tuple[str, Head]:
    told = CommitmentState.model_validate_json(value)
    return told.commitment, Head(entries=told.trail.entries, hash=told.trail.head)
