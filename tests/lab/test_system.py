"""`up` and `down` of what stands under the services."""

from collections.abc import Generator
from pathlib import Path

import httpx
import pytest

from lab import state, system, topics
from lab.errors import LabError


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[Path]:
    for variable in system.ADDRESS_VARIABLES.values():
        monkeypatch.delenv(variable, raising=False)
    yield tmp_path
    system.down(tmp_path)


def test_nothing_is_up_at_first(directory: Path) -> None:
    assert system.status(directory) == []
    with pytest.raises(LabError, match="livinglab up"):
        system.address_of("kafka", directory)


def test_an_address_in_the_environment_wins(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "kafka.example:9092")
    assert system.address_of("kafka", directory) == "kafka.example:9092"


def test_a_damaged_state_file_is_told_and_not_guessed_at(directory: Path) -> None:
    (directory / "state.json").write_text('{"parts": ')
    with pytest.raises(LabError, match=r"state\.json can't be read"):
        system.status(directory)
    (directory / "state.json").unlink()


@pytest.mark.real
def test_up_twice_is_harmless_and_down_leaves_nothing(directory: Path) -> None:
    first = system.up(directory, services=[], outlives_parent=False)
    second = system.up(directory, services=[], outlives_parent=False)
    assert dict(second.environment) == dict(first.environment)
    assert not second.parts
    assert all(entry.right for entry in topics.provisioned(first.environment["KAFKA_BOOTSTRAP_SERVERS"]))
    discovery = httpx.get(first.environment["OIDC_ISSUER"] + "/.well-known/openid-configuration").json()
    assert discovery["issuer"] == first.environment["OIDC_ISSUER"]
    assert set(system.down(directory)) == set(system.ADDRESS_VARIABLES)
    assert not any(part.running for part in first.parts.values())
    assert system.status(directory) == []


@pytest.mark.real
def test_a_part_that_died_is_started_again_on_the_same_address(directory: Path) -> None:
    first = system.up(directory, broker="embedded", services=[], outlives_parent=False)
    first.parts["otlp"].kill()
    second = system.up(directory, broker="embedded", services=[], outlives_parent=False)
    assert set(second.parts) == {"otlp"}
    assert second.environment == first.environment


@pytest.mark.real
def test_a_failed_up_stops_what_it_started_and_says_why(directory: Path) -> None:
    heard: list[str] = []
    with pytest.raises(LabError, match="nonexistent ended while starting"):
        system.up(
            directory,
            broker="embedded",
            services=["nonexistent"],
            report=lambda part, event: heard.append(part) if event == "stopped" else None,
            outlives_parent=False,
        )
    assert set(heard) == {*system.ADDRESS_VARIABLES, "nonexistent"}
    assert state.load(directory).parts == {}
