"""Writes each service's OpenAPI document for integrators: `python -m lab.openapi [--check]`."""

import json
import sys
from importlib import import_module
from pathlib import Path

from fastapi import FastAPI

from contracts import events
from lab.system import SERVICES

FOLDER = Path(events.__file__).parent / "openapi"


def documents() -> dict[Path, bytes]:
    """File → its bytes: the same bytes for the same services."""
    return {FOLDER / f"{name}.json": _document(name) for name in SERVICES}


def _document(service: str) -> bytes:
    app: FastAPI = import_module(f"services.{service}.app").create_app()
    return (json.dumps(app.openapi(), ensure_ascii=False, indent=2) + "\n").encode()


def differing() -> list[Path]:
    """Documents that are missing, stale, or of a service that is no more."""
    wanted = documents()
    stale = [path for path, content in wanted.items() if not path.is_file() or path.read_bytes() != content]
    return stale + sorted(set(FOLDER.glob("*")) - wanted.keys())


def main(arguments: list[str]) -> int:
    """Exit status: 0, 1 when `--check` finds a difference, 2 for unknown arguments."""
    if arguments not in ([], ["--check"]):
        print("usage: python -m lab.openapi [--check]", file=sys.stderr)
        return 2
    if arguments:
        different = differing()
        for path in different:
            print(f"contracts/openapi/{path.name} differs from its service; run `make fmt`", file=sys.stderr)
        return 1 if different else 0
    FOLDER.mkdir(exist_ok=True)
    for path, content in documents().items():
        path.write_bytes(content)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
