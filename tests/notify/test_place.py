"""A place comes back as it was, whatever is in it; moves forward only; and tells how much was missed."""

from contextlib import suppress

import pytest
from cryptography.fernet import Fernet
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from services.notify.domain.place import Place
from services.notify.keys import Keys, Purpose
from services.notify.settings import NotifySettings

counts = st.integers(min_value=0, max_value=2**63 - 1)
topics = st.dictionaries(st.text(max_size=40), st.lists(counts, min_size=1, max_size=40), max_size=10)
WHOLE = Place({name: [2, *[30_000] * count] for name, count in {"assessment": 12, "score": 12, "cycle": 1}.items()})


def keys() -> Keys:
    return Keys(
        NotifySettings(
            webhook_signing_key=SecretStr("A" * 43 + "="),
            webhook_sealing_keys=SecretStr(Fernet.generate_key().decode()),
        )
    )


@given(topics)
def test_it_comes_back_as_it_was(numbers: dict[str, list[int]]) -> None:
    assert Place.decoded(Place(numbers).encoded()) == Place(numbers)


@given(st.binary(max_size=200))
def test_anything_else_is_refused_or_is_some_place(encoded: bytes) -> None:
    try:
        place = Place.decoded(encoded)
    except ValueError:
        return
    assert Place.decoded(place.encoded()) == place


@given(st.integers(min_value=1, max_value=len(WHOLE.encoded()) - 1))
def test_what_is_cut_off_never_passes_for_the_whole(length: int) -> None:
    with suppress(ValueError):
        assert Place.decoded(WHOLE.encoded()[:length]) != WHOLE


@given(topics, st.sampled_from(["assessment", "score"]), st.integers(0, 20), counts)
def test_moving_changes_one_partition(numbers: dict[str, list[int]], topic: str, partition: int, next: int) -> None:
    place = Place(numbers)
    place.move(topic, partition, next=next)
    assert place.next(topic, partition) == next
    assert place.epoch(topic) == Place(numbers).epoch(topic)
    others = [(name, n) for name in numbers for n in range(40) if (name, n) != (topic, partition)]
    assert [place.next(*of) for of in others] == [Place(numbers).next(*of) for of in others]


def test_a_copy_moves_by_itself() -> None:
    place = Place({"score": [0, 1]})
    place.copy().move("score", 0, next=9)
    assert place == Place({"score": [0, 1]})


def test_missed_is_what_lies_between() -> None:
    place = Place({"score": [0, 5, 7], "cycle": [0, 3]})
    until = Place({"score": [0, 9, 7, 4], "cycle": [0, 2], "delivery": [0, 1]})
    assert place.missed(until) == {("score", 0): 4, ("score", 2): 4, ("delivery", 0): 1}
    assert until.missed(until) == {}


def test_offsets_of_another_epoch_are_not_compared() -> None:
    assert Place({"score": [1, 5]}).older(Place({"score": [2, 9]})) == ["score"]
    assert Place({"score": [2, 5]}).older(Place({"score": [1, 9]})) == []
    assert Place({"score": [2, 5]}).missed(Place({"score": [1, 9]})) == {}


def test_a_rebuilt_topic_begins_at_nothing() -> None:
    place = Place({"score": [0, 5, 6]})
    place.begin("score", epoch=1)
    assert (place.epoch("score"), place.next("score", 1)) == (1, 0)


def test_sealed_it_tells_its_reader_nothing_and_comes_back_on_any_replica() -> None:
    ours = keys()
    sealed = ours.seal_for(Purpose.PLACE, WHOLE.encoded())
    assert Place.decoded(ours.open_for(Purpose.PLACE, sealed)) == WHOLE
    assert sealed != ours.seal_for(Purpose.PLACE, WHOLE.encoded())  # nobody sees by it that nothing happened
    assert len(sealed) < 400
    assert sealed.isascii()


@pytest.mark.parametrize("sealed", ["", "x", "gAAAA", "é", keys().seal_for(Purpose.PLACE, WHOLE.encoded())])
def test_what_we_did_not_seal_is_refused(sealed: str) -> None:
    with pytest.raises(ValueError, match="sealed"):
        keys().open_for(Purpose.PLACE, sealed)


def test_what_was_sealed_for_another_purpose_is_refused() -> None:
    ours = keys()
    with pytest.raises(ValueError, match="place"):
        ours.open_for(Purpose.PLACE, ours.seal("whsec_secret"))
