"""Whoever may write to the database rewrites a trail: `livinglab audit verify` finds it. On real parts."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest

from chassis.settings import Settings
from chassis.store import Database, Document, connect
from lab import audit, system
from services.commitment.domain import trail
from tests.acting import DEADLINE_S, Tokens
from tests.committing import Committing, drafted

pytestmark = pytest.mark.real
Attack = Callable[[Database, str], Awaitable[None]]


@pytest.fixture
async def database(settings: Settings) -> AsyncGenerator[Database]:
    client, database = connect(settings, service="commitment")
    yield database
    client.close()


@pytest.fixture
async def signed(
    commitment: httpx.AsyncClient, tokens: Tokens, living_lab: system.System, free_regions: Iterator[str]
) -> Committing:
    two = [next(free_regions), next(free_regions)]
    one = await drafted(commitment, tokens, living_lab.directory / "pki", two[0], two)
    sha = (await one.open())["text_sha256"]
    for region in two:
        assert (await one.sign(region, text_sha256=sha)).status_code == 200
    async with asyncio.timeout(DEADLINE_S):
        while not (await one.get())["papers"][0]["sealed"]:
            await asyncio.sleep(0.1)
    return one


async def edit(database: Database, of: str) -> None:
    await database["audit"].update_one({"_id": trail.entry_id(of, 3)}, {"$set": {"by": "somebody-else"}})


async def edit_with_its_hash(database: Database, of: str) -> None:
    entry = await database["audit"].find_one({"_id": trail.entry_id(of, 3)})
    assert entry
    entry["by"] = "somebody-else"
    await database["audit"].replace_one({"_id": entry["_id"]}, entry | {"hash": trail.hash_of(entry)})


async def rewrite_to_the_end(database: Database, of: str) -> None:
    """All hashes anew, and the head as well: nothing inside the commitment differs any more."""
    entries = await database["audit"].find({"commitment": of}).sort("_id", 1).to_list(None)
    entries[2]["by"] = "somebody-else"
    before = trail.beginning(of).hash
    for entry in entries:
        entry["prev"] = before
        entry["hash"] = before = trail.hash_of(entry)
        await database["audit"].replace_one({"_id": entry["_id"]}, entry)
    await database["commitments"].update_one({"_id": of}, {"$set": {"state.trail.hash": before}})


async def delete(database: Database, of: str) -> None:
    await database["audit"].delete_one({"_id": trail.entry_id(of, 3)})


async def insert(database: Database, of: str) -> None:
    entry = await database["audit"].find_one({"_id": trail.entry_id(of, 3)})
    assert entry
    await database["audit"].insert_one(entry | {"_id": trail.entry_id(of, 3) + "x"})


async def reorder(database: Database, of: str) -> None:
    third, fourth = [await database["audit"].find_one({"_id": trail.entry_id(of, n)}) for n in (3, 4)]
    assert third and fourth
    await database["audit"].replace_one({"_id": third["_id"]}, fourth | {"_id": third["_id"]})
    await database["audit"].replace_one({"_id": fourth["_id"]}, third | {"_id": fourth["_id"]})


async def truncate(database: Database, of: str) -> None:
    """The last act never was, and the state says so too."""
    entries = await database["audit"].find({"commitment": of}).sort("_id", 1).to_list(None)
    await database["audit"].delete_one({"_id": entries[-1]["_id"]})
    head = {"entries": entries[-2]["seq"], "hash": entries[-2]["hash"]}
    await database["commitments"].update_one({"_id": of}, {"$set": {"state.trail": head}})


async def forge_a_signature(database: Database, of: str) -> None:
    found = await database["commitments"].find_one({"_id": of})
    assert found
    one = next(iter(found["state"]["signatures"].values()))
    await database["commitments"].update_one({"_id": of}, {"$set": {"state.signatures.1/p09": one}})


def set_in_state(path: tuple[str, ...], value: object) -> Attack:
    """What everybody reads is rewritten; the trail is left as it was."""

    async def attack(database: Database, of: str) -> None:
        found = await database["commitments"].find_one({"_id": of})
        assert found
        *above, last = path
        inner = found["state"]
        for key in above:
            inner = inner[key]
        inner[last] = value
        await database["commitments"].replace_one({"_id": of}, found)

    return attack


async def take_what_it_was_about(database: Database, of: str) -> None:
    await database["audit"].update_one({"commitment": of, "act": "signed"}, {"$unset": {"about": 1}})


async def change_the_document(database: Database, of: str) -> None:
    found = await database["revisions"].find_one({"commitment": of, "offset": 0})
    assert found
    changed = found["bytes"].replace(b"%PDF-1.7", b"%PDF-1.6")
    await database["revisions"].update_one({"_id": found["_id"]}, {"$set": {"bytes": changed}})


async def remove_the_commitment(database: Database, of: str) -> None:
    await database["commitments"].delete_one({"_id": of})


async def remove_all_of_it(database: Database, of: str) -> None:
    await database["commitments"].delete_one({"_id": of})
    for name in ("audit", "revisions"):
        await database[name].delete_many({"commitment": of})


ATTACKS: dict[Attack, str] = {
    edit: "edited",
    edit_with_its_hash: "chain_broken",
    rewrite_to_the_end: "fact_differs",
    delete: "out_of_order",
    insert: "out_of_order",
    reorder: "out_of_order",
    truncate: "document_changed",
    forge_a_signature: "signature_differs",
    set_in_state(("signatures", "1/p01", "told", "name"), "Orang lain"): "signature_differs",
    set_in_state(("signatures", "1/p01", "told", "signed_on"), "2020-01-01"): "signature_differs",
    set_in_state(("texts", "1", "title"), "Naskah lain"): "text_differs",
    set_in_state(("status",), "withdrawn"): "status_differs",
    set_in_state(("parties", "p02", "organization"), "32.99"): "party_differs",
    set_in_state(("parties", "p02", "signatory", "name"), "Orang lain"): "signatory_differs",
    take_what_it_was_about: "edited",
    change_the_document: "document_changed",
    remove_the_commitment: "commitment_missing",
    remove_all_of_it: "fact_differs",
}


async def copy(database: Database, of: str) -> dict[str, list[Document]]:
    own = {"commitments": {"_id": of}, "audit": {"commitment": of}, "revisions": {"commitment": of}}
    return {name: await database[name].find(where).to_list(None) for name, where in own.items()}


async def put_back(database: Database, of: str, was: dict[str, list[Document]]) -> None:
    await remove_all_of_it(database, of)
    for name, documents in was.items():
        await database[name].insert_many(documents)


async def about(settings: Settings, one: Committing) -> set[str]:
    """Codes of what is found about a commitment: the lab is shared, so others' are left out."""
    audited = await audit.verify(settings, keys=[])
    return {finding.code for finding in audited.findings if one.id in finding.about}


async def test_each_attack_is_found(settings: Settings, database: Database, signed: Committing) -> None:
    assert await about(settings, signed) == set()
    was = await copy(database, signed.id)
    for attack, code in ATTACKS.items():
        await attack(database, signed.id)
        found = await about(settings, signed)
        await put_back(database, signed.id, was)
        assert code in found, f"{attack.__name__}: {found}"
    assert await about(settings, signed) == set()


async def test_who_rewrites_everything_is_found_by_kafka_and_by_a_kept_checkpoint(
    settings: Settings, database: Database, signed: Committing, commitment: httpx.AsyncClient, tmp_path: Path
) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while True:
            answer = await commitment.get("/audit/checkpoint")
            named = {of for of, *_ in answer.json().get("heads", ())}
            if signed.id in named:
                break
            await asyncio.sleep(0.2)
    keys = audit.public_keys((await commitment.get("/audit/keys")).content)
    file = tmp_path / "checkpoint.json"
    file.write_bytes(answer.content)
    kept = audit.kept(file)
    audited = await audit.verify(settings, keys=keys, kept_elsewhere=[kept])
    assert [one for one in audited.findings if one.code.startswith(("checkpoint", "kept"))] == []

    was = await copy(database, signed.id)
    facts = await database["facts"].find({"aggregate": signed.id}).to_list(None)
    checkpoints = await database["checkpoints"].find({"_id": {"$gte": kept.number}}).to_list(None)
    try:
        await remove_all_of_it(database, signed.id)
        await database["facts"].delete_many({"aggregate": signed.id})
        await database["checkpoints"].delete_many({"_id": {"$gte": kept.number}})
        audited = await audit.verify(settings, keys=keys, kept_elsewhere=[kept], kafka=True)
    finally:
        await put_back(database, signed.id, was)
        await database["facts"].insert_many(facts)
        for one in checkpoints:
            await database["checkpoints"].replace_one({"_id": one["_id"]}, one, upsert=True)
    codes = {(finding.code, finding.about) for finding in audited.findings}
    assert ("kept_differs", f"kept checkpoint {kept.number}") in codes
    assert ("fact_differs", signed.id) in codes, "Kafka has what the database has no more"


async def test_a_trail_is_read_by_those_who_take_part(signed: Committing, tokens: Tokens) -> None:
    found = (await signed.client.get(f"{signed.address}/trail", headers=signed.manager)).json()["items"]
    acts = [entry["act"] for entry in found]
    assert acts == [
        "drafted", "party_named", "signatory_named", "party_named", "signatory_named", "opened", "signed", "signed",
        "entered_force", "sealed",
    ]  # fmt: skip
    assert [entry["seq"] for entry in found] == list(range(1, len(found) + 1))
    assert found[0]["prev"] == sha256(signed.id.encode()).hexdigest()
    told: dict[str, Any] = (await signed.get())["trail"]
    assert (told["entries"], told["head"]) == (len(found), found[-1]["hash"])
    stranger = await signed.client.get(f"{signed.address}/trail", headers=tokens("32.11", "koordinator-spbe"))
    assert stranger.status_code == 403
