"""What an event says to people."""

import json
from pathlib import Path
from typing import Any

import pytest

from contracts import events
from contracts.regions import Directory
from services.notify.domain.event import TEST_TYPE
from services.notify.domain.subscription import Language
from services.notify.domain.wording import line

EXAMPLES = sorted((Path(__file__).parents[2] / "contracts" / "examples").glob("*.json"))
DIRECTORY = Directory.load()
ID, EN = Language.INDONESIAN, Language.ENGLISH


def cloudevent(example: Any) -> dict[str, Any]:
    attributes = {k.removeprefix("ce_"): v for k, v in example["headers"].items() if k.startswith("ce_")}
    return attributes | {"data": example["body"]}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_golden_example_has_a_line_in_both_languages(path: Path) -> None:
    event = cloudevent(json.loads(path.read_bytes()))
    told = line(event, DIRECTORY)
    assert told[ID] and told[EN] and told[ID] != told[EN]
    if event["type"].split(".")[2] in ("assessment", "score"):
        assert told[ID].startswith(f"{DIRECTORY.get(event['region']).name}: ")


def test_every_event_that_there_is_has_words() -> None:
    shown = {path.name.partition(".v1")[0] for path in EXAMPLES}
    assert {event.name for event in events.ALL} <= shown, "the golden examples, above, hold every type"
    assert line({"type": TEST_TYPE, "data": {}}, DIRECTORY) == {ID: "Uji coba", EN: "A test"}


@pytest.mark.parametrize(
    ("example", "told"),
    [
        ("score.recalculated.v1", "Kabupaten Sumedang: The index was calculated: 4.14 (self-assessment)"),
        ("score.recalculated.v1-official", "Kabupaten Sumedang: The index was calculated: 4.14 (official result)"),
        ("score.recalculated.v1.incomplete", "Kabupaten Sumedang: The index was calculated"),
        ("subscription.disabled.v1", "A subscription was disabled: its endpoint failed for days"),
    ],
)
def test_a_figure_is_never_without_its_basis(example: str, told: str) -> None:
    [path] = [path for path in EXAMPLES if path.name == f"{example}.json"]
    assert line(cloudevent(json.loads(path.read_bytes())), DIRECTORY)[EN] == told


def test_of_several_stages_the_latest_counts_whatever_their_order() -> None:
    figure = {"index": {"value": "3", "shown": "3.00"}}
    scores = {"document": figure, "self": {"index": {"value": "4", "shown": "4.00"}}, "interview": {"missing": [1]}}
    event = {"type": "id.livinglab.score.recalculated.v1", "region": "32.11", "data": {"scores": scores}}
    assert line(event, DIRECTORY)[ID] == "Kabupaten Sumedang: Nilai indeks dihitung: 3,00 (penilaian dokumen)"
