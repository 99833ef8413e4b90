"""OpenAPI documents: generated, committed, compared; and true of every operation."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator, validate

from lab import openapi
from lab.system import SERVICES

Operation = tuple[str, str, dict[str, Any]]


WITHOUT_KEY = {"/notify/v1/confirmations", "/notify/v1/unsubscriptions", "/commitment/v1/verifications"}
"""What a button in an e-mail does: mail programs send no headers, and to do it twice is no mistake. And a look at a
file, of which nothing is kept."""
OPTIONAL = {"If-None-Match", "Last-Event-ID"}


def operations(service: str) -> Iterator[Operation]:
    document = json.loads((openapi.FOLDER / f"{service}.json").read_bytes())
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def test_committed_documents_are_what_the_services_serve() -> None:
    assert [path.name for path in openapi.differing()] == []
    assert {json.loads(document)["openapi"] for document in openapi.documents().values()} == {"3.1.0"}


@pytest.mark.parametrize("service", SERVICES)
def test_every_operation_has_a_name_of_its_own_and_says_what_it_is_for(service: str) -> None:
    found = list(operations(service))
    names = [operation["operationId"] for _, _, operation in found]
    assert len(set(names)) == len(names)
    assert all(path.startswith(f"/{service}/v1/") and operation["description"] for path, _, operation in found)


@pytest.mark.parametrize("service", SERVICES)
def test_what_a_command_needs_is_said_to_be_needed(service: str) -> None:
    """They are refused without (400, 428), whatever FastAPI's own document would say."""
    for path, method, operation in operations(service):
        asked = [p for p in operation.get("parameters", ()) if p["in"] == "header" and p["name"] not in OPTIONAL]
        headers = {p["name"]: p["required"] for p in asked}
        assert all(headers.values()), (path, headers)
        assert ("Idempotency-Key" in headers) == (method == "post" and path not in WITHOUT_KEY), path


@pytest.mark.parametrize("service", SERVICES)
def test_every_operation_has_an_example_that_its_schema_allows(service: str) -> None:
    document = json.loads((openapi.FOLDER / f"{service}.json").read_bytes())
    known = {"components": document["components"]}
    for path, method, operation in operations(service):
        answers = {s: a for s, a in operation["responses"].items() if s.startswith("2") and "example" in str(a)}
        assert answers, f"{method} {path} has no example of its answer"
        contents = [content for answer in answers.values() for content in answer["content"].values()]
        asked = operation.get("requestBody", {}).get("content", {})
        assert not asked or any("example" in content for content in asked.values()), f"{method} {path}: no request"
        for content in [*contents, *asked.values()]:
            if "example" in content:
                validate(content["example"], known | content["schema"], cls=Draft202012Validator)
        for parameter in operation.get("parameters", ()):
            if parameter["required"] and parameter["in"] != "header":
                assert "example" in parameter, f"{method} {path}: {parameter['name']}"
                validate(parameter["example"], known | parameter["schema"], cls=Draft202012Validator)


def test_unknown_arguments_are_refused_and_write_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert openapi.main(["--dry"]) == 2
    assert "usage" in capsys.readouterr().err
