"""How a text becomes a paper with places to sign."""

import pickle
import subprocess
import sys
from dataclasses import replace
from hashlib import sha256
from io import BytesIO
from itertools import combinations, pairwise

import pikepdf
import pytest
from pyhanko.pdf_utils.reader import PdfFileReader

from lab.parts.process import repository_root
from services.commitment.papers.paper import Block, Document, Place, Section, Stamp
from services.commitment.papers.typeset import A4_HEIGHT_PT, stamp, typeset
from tests.commitment.pki import BLOCKS, STAMP, document

A4_WIDTH_PT = 595.28
BOX_PT = (153.07, 48.19)
MANY = [f"p{number:02}" for number in range(1, 67)]
LONG = "Penjabat Sementara Sekretaris Daerah Kabupaten Kepulauan Siau Tagulandang Biaro"
MARKUP = (
    "*tebal* _miring_ $x$ `kode` = judul - butir // catatan \\ <block> @rujukan [isi] \"kutip\" 'kutip' & %",
    '#panic("berhenti")',
    '#metadata((block: "p99", page: 1, x: 0, y: 0))<block>',
    '#read("commitment.typ")',
    '")); #metadata((block: "p99"))<block>',
    "https://example.com/<script>",
    "\u202enol\u0000",
    "Śrī Ngurah 民 😀 e\u0301",
)
ELSEWHERE = """
import pickle, sys
from hashlib import sha256
from services.commitment.papers.typeset import stamp, typeset
document, shown = pickle.load(sys.stdin.buffer)
print(sha256(typeset(document).pdf).hexdigest(), sha256(stamp(shown)).hexdigest())
"""


def test_another_process_sets_the_same_bytes() -> None:
    here = [sha256(pdf).hexdigest() for pdf in (typeset(document(BLOCKS)).pdf, stamp(STAMP))]
    done = subprocess.run(
        [sys.executable, "-c", ELSEWHERE],
        input=pickle.dumps((document(BLOCKS), STAMP)),
        capture_output=True,
        check=True,
        cwd=repository_root(),
    )
    assert done.stdout.decode().split() == here


def test_another_text_or_another_order_of_blocks_is_another_paper() -> None:
    one = document(BLOCKS)
    others = [
        document(BLOCKS[::-1]),
        replace(one, closing="Sekian."),
        replace(one, verification_url="http://localhost/2"),
    ]
    assert len({typeset(each).pdf for each in (one, *others)}) == 4


@pytest.mark.parametrize("blocks", [BLOCKS[:1], BLOCKS, MANY], ids=len)
def test_each_block_has_one_empty_field_in_its_place(blocks: list[str]) -> None:
    paper = typeset(document(blocks))
    with pikepdf.open(BytesIO(paper.pdf)) as file:
        form = file.Root.AcroForm
        assert form.SigFlags == 3
        assert [str(field.T) for field in form.Fields] == blocks
        for field in form.Fields:
            place = paper.places[str(field.T)]
            assert (field.FT, field.F, "/V" in field) == (pikepdf.Name.Sig, 132, False)
            assert file.pages[place.page].obj == field.P
            assert field.objgen in [one.objgen for one in file.pages[place.page].obj.Annots]
            assert [float(side) for side in field.Rect] == pytest.approx(
                [place.left, place.bottom, place.right, place.top], abs=0.01
            )
    reader = PdfFileReader(BytesIO(paper.pdf))
    assert reader.xrefs.total_revisions == 1
    assert reader.embedded_signatures == []


def _apart(one: Place, other: Place) -> bool:
    return (
        one.page != other.page
        or one.right <= other.left
        or other.right <= one.left
        or one.top <= other.bottom
        or other.top <= one.bottom
    )


def test_66_places_lie_inside_their_pages_apart_from_each_other_and_in_order() -> None:
    paper = typeset(document(MANY))
    places = [paper.places[block] for block in MANY]
    with pikepdf.open(BytesIO(paper.pdf)) as file:
        assert {place.page for place in places} <= set(range(len(file.pages)))
    for place in places:
        assert 0 < place.left < place.right < A4_WIDTH_PT
        assert 0 < place.bottom < place.top < A4_HEIGHT_PT
        assert (place.right - place.left, place.top - place.bottom) == pytest.approx(BOX_PT, abs=0.01)
    assert all(_apart(one, other) for one, other in combinations(places, 2))
    assert all((one.page, -one.top, one.left) < (other.page, -other.top, other.left) for one, other in pairwise(places))


def test_who_signs_by_hand_has_a_place_and_no_field() -> None:
    paper = typeset(document(BLOCKS), signed_by_hand=["p02", "p05"])
    assert list(paper.places) == BLOCKS
    with pikepdf.open(BytesIO(paper.pdf)) as file:
        assert [str(field.T) for field in file.Root.AcroForm.Fields] == [
            one for one in BLOCKS if one not in {"p02", "p05"}
        ]
    assert list(typeset(document(BLOCKS), signed_by_hand=BLOCKS).places) == BLOCKS


@pytest.mark.parametrize("text", MARKUP)
def test_nothing_in_a_text_is_markup(text: str) -> None:
    asked = Document(
        title=text,
        number=text,
        opening=text,
        legal_basis=(text,),
        clauses=((text, text),),
        closing=text,
        signed_at=text,
        sections=(Section(text, (Block("p01", (text, text), text, text),)),),
        foot=text,
        verification_url="http://localhost:8080/v/1",
        legal_note=text,
    )
    assert list(typeset(asked).places) == ["p01"]
    with pikepdf.open(BytesIO(stamp(Stamp(text, (text, text), text)))) as file:
        assert len(file.pages) == 1


def test_long_headings_move_no_place_into_another() -> None:
    blocks = tuple(Block(one, (LONG, LONG), LONG, LONG) for one in BLOCKS)
    paper = typeset(replace(document([]), sections=(Section("Para pihak", blocks), Section("Saksi", blocks[:0]))))
    assert list(paper.places) == BLOCKS
    assert all(_apart(one, other) for one, other in combinations(paper.places.values(), 2))


def test_a_stamp_is_one_page_of_the_size_of_its_box_whatever_it_says() -> None:
    for shown in (STAMP, Stamp("", (), ""), Stamp(LONG, (LONG, LONG), LONG)):
        with pikepdf.open(BytesIO(stamp(shown))) as file:
            (page,) = file.pages
            assert [float(side) for side in page.mediabox] == pytest.approx([0, 0, *BOX_PT], abs=0.01)
