"""An event finds exactly the subscriptions that ask for it; who may be told is another question."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.viewer import Depth, sees, viewer_of
from contracts import events
from contracts.fact import Visibility
from contracts.regions import Directory
from contracts.roles import TokenClaims
from services.notify.domain.matching import asked_tokens, event_tokens, known_patterns, short
from services.notify.domain.right import PUBLIC, About, Kind, Right, may_be_told, right_of

DIRECTORY = Directory.load()
TYPES = [event.type for event in events.ALL]
CODES = ["32", "32.11", "32.01", "31.71", "31", "11.01", "93.01"]


def asks(type: str, region: str | None, pattern: str, place: str | None) -> bool:
    """Said plainly, without tokens."""
    name = short(type)
    fits = pattern in ("*", name, f"{name.partition('.')[0]}.*")
    if place is None:
        return fits
    if region is None:
        return False
    if place.startswith("@"):
        return fits and any(region in DIRECTORY.closure(code) for code in DIRECTORY.group(place[1:]))
    return fits and region in DIRECTORY.closure(place)


@given(
    type=st.sampled_from(TYPES),
    region=st.sampled_from([None, *CODES]),
    patterns=st.lists(st.sampled_from(sorted(known_patterns())), min_size=1, max_size=4),
    places=st.lists(st.sampled_from([*CODES, "@jabar-2023"]), max_size=4),
)
def test_tokens_find_what_plain_words_say(
    type: str, region: str | None, patterns: list[str], places: list[str]
) -> None:
    codes = [place for place in places if not place.startswith("@")]
    groups = [place[1:] for place in places if place.startswith("@")]
    within = DIRECTORY.containing(region) if region else ()
    found = not event_tokens(type, within, DIRECTORY).isdisjoint(asked_tokens(patterns, codes, groups))
    assert found == any(asks(type, region, p, place) for p, place in product(patterns, places or [None]))


def test_an_event_asks_with_few_tokens_whatever_the_number_of_regions() -> None:
    assert max(len(event_tokens(type, DIRECTORY.containing("32.11"), DIRECTORY)) for type in TYPES) <= 12
    assert len(event_tokens(TYPES[0], (), DIRECTORY)) == 3


def about(region: str | None, *, public: bool = False, assessors: tuple[str, ...] = ()) -> About:
    within = DIRECTORY.containing(region) if region else frozenset[str]()
    return About(Visibility.PUBLIC if public else Visibility.SUPERVISED, within=within, assessors=assessors)


VIEWERS = [
    ("32.11", ("penanggung-jawab",)),
    ("32", ("pembina",)),
    ("32", ("penanggung-jawab",)),
    ("kemendagri", ("pembina",)),
    ("kemenpanrb", ("peninjau",)),
    ("kemenpanrb", ("administrator",)),
    ("universitas-x", ("asesor-eksternal",)),
    ("universitas-x", ()),
]


@pytest.mark.parametrize(("organization", "roles"), VIEWERS)
def test_a_right_made_of_a_token_tells_what_the_token_shows(organization: str, roles: tuple[str, ...]) -> None:
    viewer = viewer_of(TokenClaims(sub="someone", organization=organization, roles=roles), DIRECTORY)
    for region, assessors, public in product(CODES, [(), ("someone",), ("other",)], [False, True]):
        document = {"region": region, "province": region[:2], "assessors": assessors, "public": public}
        shown = sees(viewer.reach(Depth.SCORES), document, public="public")
        told = may_be_told(
            about(region, public=public, assessors=assessors),
            organization=organization,
            rights=[right_of(viewer)],
            subscription="s",
        )
        assert told == shown, (region, assessors, public)


RIGHTS = [PUBLIC, Right(Kind.NATIONAL), Right(Kind.REGIONS, ("32",)), Right(Kind.ASSIGNED, actor="someone")]


@given(st.sampled_from(RIGHTS), st.sampled_from(RIGHTS), st.sampled_from(CODES), st.booleans())
def test_two_rights_never_tell_more_than_either(one: Right, other: Right, region: str, public: bool) -> None:
    def told(*rights: Right) -> bool:
        subject = about(region, public=public, assessors=("someone",))
        return may_be_told(subject, organization="o", rights=rights, subscription="s")

    assert told(one, other) == (told(one) and told(other))
    assert told(PUBLIC) == public


def test_what_is_about_a_subscription_is_for_its_owner_and_never_for_itself() -> None:
    national = Right(Kind.NATIONAL)
    subject = About(Visibility.SUPERVISED, owner="32", subscription="s1")
    assert may_be_told(subject, organization="32", rights=[PUBLIC], subscription="s2")
    assert not may_be_told(subject, organization="32", rights=[national], subscription="s1")
    assert not may_be_told(subject, organization="kemendagri", rights=[national], subscription="s3")
