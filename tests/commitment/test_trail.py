"""The audit trail: whatever is done to what is filed, it is found; and what only a kept checkpoint can find."""

import json
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from services.commitment.domain import checkpoint as checkpoints
from services.commitment.domain import trail
from services.commitment.domain.checkpoint import Checkpoint, checkpoint, heads_of
from services.commitment.domain.trail import Act, Finding, Head

BEGUN = datetime(2023, 7, 12, 3, tzinfo=UTC)
COMMITMENT = "0b9d3f0e-4f0a-5d5e-9f6e-0e5f3f7b8a11"
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))

Entry = dict[str, Any]
Trail = tuple[Head, list[Entry]]


def written(commitment: str = COMMITMENT, length: int = 6) -> Trail:
    acts = [Act.DRAFTED, Act.OPENED, Act.SENT, Act.SIGNED, Act.SENT, Act.SIGNED]
    return grown(commitment, (trail.beginning(commitment), []), (acts * length)[:length])


def grown(commitment: str, so_far: Trail, acts: Sequence[Act]) -> Trail:
    """The same trail with further entries."""
    head, entries = so_far[0], list(so_far[1])
    for number, act in enumerate(acts, start=head.entries):
        head, entry = trail.append(
            head, commitment, act, by=f"actor-{number}", organization="32.11", at=BEGUN + timedelta(seconds=number),
            about={"edition": 1, "block": f"p{number:02}", "trailing": False, "certificate_sha256": None},
        )  # fmt: skip
        entries.append(entry)
    return head, entries


def rehashed(entries: Sequence[Entry]) -> Trail:
    """As somebody would forge it who knows how hashes are made: numbers, hashes and head all fit again."""
    head, forged = trail.beginning(COMMITMENT), list[Entry]()
    for entry in entries:
        number = head.entries + 1
        told = {**entry, "_id": trail.entry_id(COMMITMENT, number), "seq": number, "prev": head.hash}
        forged.append({**told, "hash": trail.hash_of(told)})
        head = Head(entries=number, hash=forged[-1]["hash"])
    return head, forged


def codes(found: Sequence[Finding]) -> set[str]:
    return {finding.code for finding in found}


# The form is fixed: trails that were written must verify for ever


def test_the_hash_of_an_entry_never_changes() -> None:
    head, entry = trail.append(
        trail.beginning(COMMITMENT), COMMITMENT, Act.SIGNED, by="8c1f", organization="32.11", at=BEGUN,
        about={"paper": "1", "block": "p01", "edition": 1, "trailing": False, "note": "Ikrar daérah", "list": [None]},
    )  # fmt: skip
    canonical = (
        '{"about":{"block":"p01","edition":1,"list":[null],"note":"Ikrar daérah","paper":"1","trailing":false},'
        '"act":"signed","at":"2023-07-12T03:00:00.000Z","by":"8c1f","commitment":"' + COMMITMENT + '",'
        '"organization":"32.11","prev":"' + sha256(COMMITMENT.encode()).hexdigest() + '","seq":1,"v":1}'
    )
    assert entry["hash"] == sha256(b"livinglab.trail.v1\n" + canonical.encode()).hexdigest()
    assert entry["hash"] == "a92bfc9b20e848e3a9c56e84273ad346efa54f422f0f52172d5a45f14de7cee8"
    assert entry["_id"] == f"{COMMITMENT}/00000001"
    assert head == Head(entries=1, hash=entry["hash"])


def test_the_hash_and_signature_of_a_checkpoint_never_change() -> None:
    first = taken([], {"a": written("a", 2)[0], "b": Head(entries=7, hash="ff")})
    told = first.model_dump(mode="json", exclude={"signature"}) | {"v": 1}
    plain = json.dumps(told, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert first.signed == b"livinglab.checkpoint.v1\n" + plain.encode()
    assert first.hash == "f4fe9a452c5a115664b905fb3981a30fc2d2ad592b0113973080c8b3a2e85adf"
    assert first.signature == KEY.sign(first.signed).hex()


# Attacks on the entries


def test_a_trail_as_it_was_written_has_no_findings() -> None:
    head, entries = written()
    assert trail.verify(COMMITMENT, entries, head) == []
    assert trail.verify(COMMITMENT, [], trail.beginning(COMMITMENT)) == []


def edited(entries: list[Entry]) -> None:
    entries[3]["about"]["block"] = "p09"


def edited_and_hashed(entries: list[Entry]) -> None:
    edited(entries)
    entries[3]["hash"] = trail.hash_of(entries[3])


def deleted(entries: list[Entry]) -> None:
    del entries[2]


def inserted(entries: list[Entry]) -> None:
    entries.insert(2, deepcopy(entries[1]))


def swapped(entries: list[Entry]) -> None:
    entries[1], entries[2] = entries[2], entries[1]


def swapped_with_their_numbers(entries: list[Entry]) -> None:
    swapped(entries)
    for number in (1, 2):
        entries[number] |= {"_id": trail.entry_id(COMMITMENT, number + 1), "seq": number + 1}


def cut(entries: list[Entry]) -> None:
    del entries[4:]


def emptied(entries: list[Entry]) -> None:
    entries.clear()


def of_another_commitment(entries: list[Entry]) -> None:
    entries[:] = written("another")[1]


@pytest.mark.parametrize(
    ("attack", "expected"),
    [
        (edited, {"edited"}),
        (edited_and_hashed, {"chain_broken"}),
        (deleted, {"out_of_order", "chain_broken"}),
        (inserted, {"out_of_order", "chain_broken"}),
        (swapped, {"out_of_order", "chain_broken"}),
        (swapped_with_their_numbers, {"chain_broken", "edited"}),
        (cut, {"head_differs"}),
        (emptied, {"head_differs"}),
        (of_another_commitment, {"out_of_order", "chain_broken", "head_differs"}),
    ],
)
def test_an_attack_on_the_entries_is_found(attack: Callable[[list[Entry]], None], expected: set[str]) -> None:
    head, entries = written()
    attack(entries)
    assert codes(trail.verify(COMMITMENT, entries, head)) == expected


def test_a_finding_names_the_entry() -> None:
    head, entries = written()
    edited(entries)
    (found,) = trail.verify(COMMITMENT, entries, head)
    assert (found.about, found.said) == (f"{COMMITMENT} #4", "its content is not what its hash was made of")


def test_a_head_set_back_with_its_tail_is_found_by_the_head_that_somebody_kept() -> None:
    kept, entries = written()
    head, shorter = rehashed(entries[:4])
    assert trail.verify(COMMITMENT, shorter, head) == [], "the trail alone can't tell"
    assert trail.holds(entries, kept)
    assert trail.holds(entries, head), "an earlier head of the same trail"
    assert not trail.holds(shorter, kept)


def other(value: object) -> object:
    """Something else of the kinds that an entry may hold."""
    match value:
        case bool():
            return not value
        case int():
            return value + 1
        case str():
            return value + "x"
        case None:
            return "x"
        case _:
            return None


@given(st.data())
def test_any_single_edit_is_found(data: st.DataObject) -> None:
    head, entries = written()
    place: dict[str, Any] = entries[data.draw(st.integers(0, 5))]
    name = data.draw(st.sampled_from(sorted(place)))
    if name == "about" and data.draw(st.booleans()):
        place = place["about"]
        name = data.draw(st.sampled_from(sorted(place)))
    match data.draw(st.sampled_from(["change", "remove", "add"])):
        case "change":
            place[name] = other(place[name])
        case "remove":
            del place[name]
        case _:
            place["added"] = "x"
    assert trail.verify(COMMITMENT, entries, head)


@given(st.data())
def test_any_deletion_insertion_swap_or_cut_is_found(data: st.DataObject) -> None:
    head, entries = written()
    first, second = sorted(data.draw(st.lists(st.integers(0, 5), min_size=2, max_size=2, unique=True)))
    match data.draw(st.sampled_from(["delete", "insert", "swap", "cut"])):
        case "delete":
            del entries[first]
        case "insert":
            entries.insert(first, deepcopy(entries[second]))
        case "swap":
            entries[first], entries[second] = entries[second], entries[first]
        case _:
            del entries[second:]
    assert trail.verify(COMMITMENT, entries, head)


# Attacks by somebody who makes every hash anew: found by checkpoints


def taken(before: Sequence[Checkpoint], heads: Mapping[str, Head]) -> Checkpoint:
    """The next checkpoint."""
    last = before[-1] if before else None
    at = BEGUN + timedelta(hours=len(before))
    return checkpoint(last, before=heads_of(before), now=heads, at=at, sign=KEY.sign)


@pytest.fixture
def filed() -> tuple[list[Checkpoint], dict[str, list[Entry]]]:
    """Three checkpoints, while one trail grew each time and another stood still."""
    done: list[Checkpoint] = []
    still, growing = written("still", 3), (trail.beginning(COMMITMENT), list[Entry]())
    for _ in range(3):
        growing = grown(COMMITMENT, growing, [Act.SENT, Act.SIGNED])
        done.append(taken(done, {"still": still[0], COMMITMENT: growing[0]}))
    return done, {"still": still[1], COMMITMENT: growing[1]}


Filed = tuple[list[Checkpoint], dict[str, list[Entry]]]


def found_in(filed: Filed, *, kept: Sequence[Checkpoint] = ()) -> list[Finding]:
    return checkpoints.verify(*filed, keys=[KEY.public_key()], kept=kept)


def test_checkpoints_as_they_were_made_have_no_findings(filed: Filed) -> None:
    assert found_in(filed, kept=filed[0]) == []
    assert [len(one.heads) for one in filed[0]] == [2, 1, 1], "heads that did not move are not repeated"
    filed[1][COMMITMENT] = grown(COMMITMENT, (heads_of(filed[0])[COMMITMENT], filed[1][COMMITMENT]), [Act.SEALED])[1]
    assert found_in(filed) == [], "a trail goes on after a checkpoint"


def test_an_earlier_key_stays_good_and_a_foreign_one_is_none(filed: Filed) -> None:
    foreign = Ed25519PrivateKey.from_private_bytes(bytes(32)).public_key()
    assert checkpoints.verify(*filed, keys=[foreign, KEY.public_key()]) == []
    assert codes(checkpoints.verify(*filed, keys=[foreign])) == {"checkpoint_forged"}


def rewritten(filed: Filed) -> None:
    edited(filed[1][COMMITMENT])
    filed[1][COMMITMENT] = rehashed(filed[1][COMMITMENT])[1]


def cut_and_rewritten(filed: Filed) -> None:
    filed[1][COMMITMENT] = rehashed(filed[1][COMMITMENT][:4])[1]


def whole_trail_removed(filed: Filed) -> None:
    del filed[1]["still"]


def head_edited(filed: Filed) -> None:
    rewritten(filed)
    heads = heads_of(filed[0])
    forged = filed[1][COMMITMENT][-1]["hash"]
    row = (COMMITMENT, heads[COMMITMENT].entries, forged)
    filed[0][2] = filed[0][2].model_copy(update={"heads": (row,)})


def number_edited(filed: Filed) -> None:
    filed[0][2] = filed[0][2].model_copy(update={"number": 4})


def first_removed(filed: Filed) -> None:
    del filed[0][0]


def middle_removed(filed: Filed) -> None:
    del filed[0][1]


def reordered(filed: Filed) -> None:
    filed[0][1:] = filed[0][:0:-1]


def signature_broken(filed: Filed) -> None:
    filed[0][2] = filed[0][2].model_copy(update={"signature": "no hex"})


@pytest.mark.parametrize(
    ("attack", "expected"),
    [
        (rewritten, {"trail_rewritten"}),
        (cut_and_rewritten, {"trail_rewritten"}),
        (whole_trail_removed, {"trail_rewritten"}),
        (head_edited, {"trail_rewritten", "checkpoint_forged", "root_differs"}),
        (number_edited, {"checkpoint_out_of_order", "checkpoint_forged"}),
        (first_removed, {"checkpoint_out_of_order", "checkpoint_chain_broken", "root_differs"}),
        (middle_removed, {"checkpoint_out_of_order", "checkpoint_chain_broken"}),
        (reordered, {"checkpoint_out_of_order", "checkpoint_chain_broken", "head_set_back"}),
        (signature_broken, {"checkpoint_forged"}),
    ],
)
def test_an_attack_on_trails_or_checkpoints_is_found(
    filed: Filed, attack: Callable[[Filed], None], expected: set[str]
) -> None:
    attack(filed)
    assert codes(found_in(filed)) == expected


def test_checkpoints_cut_off_are_found_by_one_that_somebody_kept(filed: Filed) -> None:
    kept = filed[0].pop()
    assert found_in(filed) == [], "nothing that is left tells of it"
    assert codes(found_in(filed, kept=[kept])) == {"kept_differs"}


def test_a_checkpoint_made_after_a_trail_was_removed_or_set_back_hides_nothing(filed: Filed) -> None:
    made, trails = filed
    del trails["still"]
    made.append(taken(made, {COMMITMENT: heads_of(made)[COMMITMENT]}))
    assert codes(found_in(filed)) == {"trail_rewritten"}
    head, trails[COMMITMENT] = rehashed(trails[COMMITMENT][:4])
    made.append(taken(made, {COMMITMENT: head}))
    assert codes(found_in(filed)) == {"trail_rewritten", "head_set_back"}


def test_all_of_it_made_anew_with_the_right_key_is_found_by_one_that_somebody_kept(filed: Filed) -> None:
    kept = filed[0][0]
    head, entries = rehashed(filed[1][COMMITMENT][1:])
    anew = ([taken([], {COMMITMENT: head})], {COMMITMENT: entries})
    assert found_in(anew) == []
    assert codes(found_in(anew, kept=[kept])) == {"kept_differs"}
    unsigned = kept.model_copy(update={"signature": "00" * 64})
    assert codes(found_in(anew, kept=[unsigned])) == {"kept_forged"}


@given(st.sampled_from(["number", "at", "previous", "heads", "root", "signature"]), st.integers(0, 2))
def test_any_single_edit_of_a_checkpoint_is_found(name: str, place: int) -> None:
    done: list[Checkpoint] = []
    trails: dict[str, list[Entry]] = {}
    for number in range(3):
        head, trails[f"c{number}"] = written(f"c{number}", number + 1)
        done.append(taken(done, heads_of(done) | {f"c{number}": head}))
    value = getattr(done[place], name)
    done[place] = done[place].model_copy(update={name: () if name == "heads" else other(value)})
    assert checkpoints.verify(done, trails, keys=[KEY.public_key()])
