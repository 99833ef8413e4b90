"""Turns, places and editions: what is signed is what was read, by whom it was asked of, once, and nothing blocks."""

from datetime import UTC, date, datetime, timedelta

import pytest

from contracts.commitment import Capacity, CommitmentStatus, PartyRole, Provider
from services.commitment.domain import signing, trail
from services.commitment.domain.commitment import Actor, Commitment
from services.commitment.domain.paper import Sheet, TurnState
from services.commitment.domain.refusals import (
    BLOCKS_MAX,
    AlreadySigned,
    NothingToSettle,
    OtherText,
    OutcomeUnknown,
    PartyTwice,
    SignatoryChanged,
    TooManyBlocks,
    TurnTaken,
)
from services.commitment.domain.signatory import Signatory
from services.commitment.domain.signing import Evidence
from services.commitment.domain.text import Clause, Opening, Text

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
LASTS = timedelta(seconds=90)
DAY = date(2026, 1, 1)


def actor(after_s: float = 0) -> Actor:
    return Actor("x", "32.01", BEGIN + timedelta(seconds=after_s))


def text(title: str = "Komitmen") -> Text:
    return Text(
        title=title,
        number=None,
        place="Bandung",
        dated=DAY,
        preamble="",
        legal_basis=(),
        clauses=(Clause(title=None, text="Naskah."),),
        period_from=DAY,
        period_to=None,
    )


def who(name: str) -> Signatory:
    return Signatory(
        name=name,
        office="Sekretaris Daerah",
        capacity=Capacity.DEFINITIVE,
        authority_from=date(2020, 1, 1),
        authority_to=None,
    )


def sheet(paper: str, blocks: tuple[str, ...], *, edition: int = 1, accession: bool = False) -> Sheet:
    return Sheet(
        paper=paper,
        edition=edition,
        accession=accession,
        blocks=blocks,
        first_sha256="a" * 64,
        sha256="a" * 64,
        bytes=1,
        electronic=0,
        sealed=False,
        turn=None,
    )


def drafted(parties: int = 3, *, reserved: int = 0) -> Commitment:
    made = Commitment(
        commitment="c",
        status=CommitmentStatus.DRAFT,
        initiator="32.01",
        facilitator="kemendagri",
        supervisors=(),
        opening=Opening(kinds=("regency",)),
        target=None,
        target_by=None,
        reserved=reserved,
        draft=text(),
        edition=0,
        in_force=None,
        texts={},
        parties={},
        papers={},
        signatures={},
        trail=trail.beginning("c"),
        revision=0,
        changed_at=BEGIN,
    )
    for number in range(1, parties + 1):
        made = named(made, f"32.{number:02}")
    return made


def named(one: Commitment, organization: str) -> Commitment:
    """With a party and its signatory, on a sheet of its own where there is no place left."""
    block, accession = one.next_block(organization)
    own = sheet(block, (block,), edition=one.edition, accession=True) if accession else None
    acted = one.with_party(
        organization, organization, PartyRole.PARTY, on_paper=False, joined=False, sheet=own, actor=actor()
    )
    return acted.state.with_signatory(block, who(f"Orang {organization}"), actor=actor()).state


def opened(one: Commitment) -> Commitment:
    edition = one.edition + 1
    blocks = (*one.parties, *one.blocks_to_reserve)
    return one.opened(sheet(str(edition), blocks, edition=edition), actor=actor()).state


def claimed(
    one: Commitment,
    block: str,
    *,
    provider: Provider = Provider.BSRE,
    after_s: float = 0,
    text_sha256: str | None = None,
    signatory: Signatory | None = None,
) -> Commitment:
    as_whom = signatory or one.parties[block].signatory
    assert as_whom
    return signing.claimed(
        one,
        one.parties[block],
        attempt=f"attempt-{block}",
        provider=provider,
        text_sha256=text_sha256 or one.text.sha256(),
        signatory=as_whom,
        certificate_sha256="c" * 64,
        request=f"request-{block}",
        lasts=LASTS,
        actor=actor(after_s),
    )


def unknown(one: Commitment, block: str) -> Commitment:
    """It was sent, and no answer came."""
    one = claimed(one, block)
    paper = signing.sheet_of(one, block)
    one = signing.sent(one, paper, lasts=LASTS, actor=actor()).state
    return signing.unknown(one, one.papers[paper.paper], why="timeout", actor=actor()).state


def signed(one: Commitment, block: str) -> Commitment:
    one = claimed(one, block, provider=Provider.LOCAL)
    return answered(one, block)


def answered(one: Commitment, block: str) -> Commitment:
    found = Evidence(
        sha256=f"{block:b>64}",
        bytes=2,
        certificate_sha256="c" * 64,
        signer="Orang",
        issuer="CA",
        at=BEGIN,
        trailing=0,
    )
    return signing.signed(one, signing.sheet_of(one, block), found, actor=actor()).state


def by_hand(one: Commitment, block: str, *, after_s: float = 0) -> Commitment:
    return signing.signed_by_hand(
        one,
        one.parties[block],
        signed_on=BEGIN,
        scan="scan",
        scan_sha256="d" * 64,
        place="Bali",
        witnessed_by="Saksi",
        request="by-hand",
        actor=actor(after_s),
    ).state


def test_nobody_claims_a_turn_for_a_text_that_they_did_not_read() -> None:
    first = opened(drafted())
    read = first.text.sha256()
    second = first.amended(actor=actor()).state.rewritten(text("Lain"), reserved=None, opening=None, actor=actor())
    with pytest.raises(OtherText):
        claimed(opened(second.state), "p02", text_sha256=read)


def test_nobody_claims_a_turn_as_somebody_who_is_not_named_any_more() -> None:
    one = opened(drafted())
    before = one.parties["p01"].signatory
    one = one.with_signatory("p01", who("Orang lain"), actor=actor()).state
    with pytest.raises(SignatoryChanged):
        claimed(one, "p01", signatory=before)


def test_the_name_that_is_recorded_is_of_who_held_the_turn() -> None:
    one = unknown(opened(drafted()), "p01")
    one = one.with_signatory("p01", who("Penggantinya"), actor=actor()).state
    assert answered(one, "p01").signatures["1/p01"].told.name == "Orang 32.01"


def test_who_has_signed_is_not_renamed_but_for_an_amendment() -> None:
    one = signed(opened(drafted()), "p01")
    with pytest.raises(AlreadySigned):
        one.with_signatory("p01", who("Penggantinya"), actor=actor())
    amended = one.amended(actor=actor()).state
    assert amended.with_signatory("p01", who("Penggantinya"), actor=actor()).state.signature("p01")


def test_nothing_is_recorded_by_hand_while_a_turn_is_held() -> None:
    one = opened(drafted())
    with pytest.raises(TurnTaken):
        by_hand(claimed(one, "p01"), "p01")
    with pytest.raises(OutcomeUnknown):
        by_hand(unknown(one, "p01"), "p01")
    # Others' turns are theirs; and a claim that ran out is nobody's.
    assert by_hand(unknown(one, "p01"), "p02").signature("p02")
    late = by_hand(claimed(one, "p01"), "p01", after_s=91)
    assert late.signature("p01")
    assert late.papers["1"].turn is None


def test_a_signature_is_never_written_over_another() -> None:
    one = by_hand(opened(drafted()), "p01")
    with_a_turn = claimed(one, "p02").papers["1"].turn
    assert with_a_turn
    forged = with_a_turn.model_copy(update={"block": "p01"})
    papers = {"1": one.papers["1"].model_copy(update={"turn": forged})}
    with pytest.raises(AlreadySigned):
        answered(one.model_copy(update={"papers": papers}), "p01")


def test_of_two_unknown_signatures_each_is_settled_by_its_place() -> None:
    one = signed(signed(opened(drafted(2)), "p01"), "p02")
    assert one.status is CommitmentStatus.IN_FORCE
    for organization in ("33.01", "33.02"):
        one = named(one, organization)
    one = unknown(unknown(one, "a01"), "a02")
    second = signing.unknown_sheet(one, "a02")
    one = signing.settled(one, second, why="tidak ditandatangani", actor=actor()).state
    assert one.papers["a02"].turn is None
    assert one.papers["a01"].turn
    assert one.papers["a01"].turn.state is TurnState.UNKNOWN
    with pytest.raises(NothingToSettle):
        signing.unknown_sheet(one, "a02")


def test_a_claim_of_somebody_who_died_is_freed_and_stops_no_seal() -> None:
    one = signed(signed(opened(drafted()), "p01"), "p02")
    one = claimed(one, "p03", provider=Provider.LOCAL)
    one = one.entered_force(actor=actor(30)).state
    assert one.to_seal == []
    assert one.due_at == BEGIN + LASTS
    freed = signing.freed(one, one.papers["1"]).state
    assert [paper.paper for paper in freed.to_seal] == ["1"]


def test_places_of_an_amendment_are_not_those_of_the_text_that_is_signed() -> None:
    one = opened(drafted(2, reserved=2))
    amended = one.amended(actor=actor()).state
    fewer = amended.rewritten(text("Dua"), reserved=0, opening=Opening(kinds=("city",)), actor=actor()).state
    assert (fewer.free_blocks, fewer.reserved, fewer.opening.kinds) == (["r01", "r02"], 2, ("regency",))
    both = signed(signed(fewer, "p01"), "p02")
    assert both.status is CommitmentStatus.OPEN  # two places are printed still
    second = opened(both)
    assert (second.free_blocks, second.reserved, second.opening.kinds) == ([], 0, ("city",))

    more = opened(drafted(2)).amended(actor=actor()).state
    more = more.rewritten(text("Dua"), reserved=3, opening=None, actor=actor()).state
    assert more.next_block("33.01") == ("a01", True)
    assert opened(more).free_blocks == ["r01", "r02", "r03"]


def test_no_more_places_are_printed_than_a_document_has_room_for() -> None:
    one = drafted(3).rewritten(text(), reserved=BLOCKS_MAX - 3, opening=None, actor=actor()).state
    one.check_ready()
    with pytest.raises(TooManyBlocks):
        one.rewritten(text(), reserved=BLOCKS_MAX - 2, opening=None, actor=actor()).state.check_ready()


def test_who_missed_the_closing_joins_by_a_sheet_of_its_own() -> None:
    one = signed(opened(drafted()), "p01")
    with pytest.raises(PartyTwice):
        one.next_block("32.03")  # it may still sign
    one = one.entered_force(actor=actor()).state
    with pytest.raises(PartyTwice):
        one.next_block("32.01")  # it has signed
    one = named(one, "32.03")
    assert sorted(one.parties) == ["a01", "p01", "p02"]
    one = signed(one, "a01")
    assert set(one.signatures) == {"1/p01", "1/a01"}
    assert [paper.paper for paper in one.to_seal] == ["1", "a01"]


def test_an_answer_that_comes_after_a_withdrawal_counts_and_is_told() -> None:
    one = claimed(opened(drafted()), "p01")
    one = signing.sent(one, one.papers["1"], lasts=LASTS, actor=actor()).state
    one = one.withdrawn("keliru", actor=actor()).state
    after = answered(one, "p01")
    assert (after.status, list(after.signatures)) == (CommitmentStatus.WITHDRAWN, ["1/p01"])
