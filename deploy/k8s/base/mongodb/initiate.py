"""Initiates the replica set and gives every service its own user; compose and Kubernetes run this same file.

Reads MONGODB_KEY (the members' shared key) and every variable that starts with MONGODB_URI_. A URI says all that is
needed: members and set name, the service's user, password and database. Safe to run again: it adds what is missing
and sets the passwords it is given, so a changed secret is rolled out by running it once more.
"""

# ruff: noqa: T201 - what a job prints is its log
import os
import sys
import time
from collections.abc import Callable
from typing import Any

from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError
from pymongo.uri_parser import parse_uri

WAIT_S = 120
ALREADY_INITIALIZED = 23
USER_EXISTS = 51003

Mongo = MongoClient[dict[str, Any]]


def connect(nodes: list[tuple[str, int]], key: str, set_name: str | None = None) -> Mongo:
    """Connects as the members do among themselves: before the first user exists nothing else gets in from outside.

    Without a set name, to the one member given, set or no set.
    """
    return MongoClient(
        [f"{host}:{port}" for host, port in nodes],
        username="__system",
        password=key,
        authSource="local",
        authMechanism="SCRAM-SHA-256",
        directConnection=set_name is None,
        replicaSet=set_name,
        w="majority",
        serverSelectionTimeoutMS=2000,
    )


def initiate(nodes: list[tuple[str, int]], key: str, set_name: str) -> None:
    """Forms the replica set from `nodes`, the first of them asked; a set that exists is left as it is."""
    members = [{"_id": index, "host": f"{host}:{port}"} for index, (host, port) in enumerate(nodes)]
    with connect(nodes[:1], key) as first:
        try:
            first.admin.command("replSetInitiate", {"_id": set_name, "members": members})
            print(f"replica set {set_name}: initiated with {len(members)} member(s)")
        except OperationFailure as error:
            if error.code != ALREADY_INITIALIZED:
                raise
            print(f"replica set {set_name}: was there already")


def give_user(client: Mongo, uri: dict[str, Any]) -> None:
    """Makes or updates the user named by `uri`: it may read and write its own database and nothing else."""
    database, name = uri["database"], uri["username"]
    roles = [{"role": "readWrite", "db": database}]
    try:
        client[database].command("createUser", name, pwd=uri["password"], roles=roles)
        print(f"user {name}: created")
    except OperationFailure as error:
        if error.code != USER_EXISTS:
            raise
        client[database].command("updateUser", name, pwd=uri["password"], roles=roles)
        print(f"user {name}: updated")


def retry_until(deadline: float, step: Callable[..., None], *arguments: Any) -> None:
    """Runs `step` until MongoDB answers; ends the program with the last error once past the deadline (monotonic, s)."""
    while True:
        try:
            return step(*arguments)
        except PyMongoError as error:
            if time.monotonic() > deadline:
                sys.exit(f"MongoDB did not get ready within {WAIT_S} s: {error}. Look at its log, then run this again.")
            time.sleep(0.4)


def give_users(uris: list[dict[str, Any]], key: str, set_name: str) -> None:
    """Writes all users through the primary, acknowledged by the majority."""
    with connect(uris[0]["nodelist"], key, set_name) as client:
        for uri in uris:
            give_user(client, uri)


def main() -> None:
    """Runs both steps; refuses, before touching anything, a URI that lacks a part."""
    uris = {name: parse_uri(value) for name, value in sorted(os.environ.items()) if name.startswith("MONGODB_URI_")}
    if not uris or "MONGODB_KEY" not in os.environ:
        sys.exit(
            "Set MONGODB_KEY and, for each service, MONGODB_URI_<SERVICE>=mongodb://user:password@host:27017/database?replicaSet=rs0"
        )
    for name, uri in uris.items():
        if not (uri["username"] and uri["password"] and uri["database"] and uri["options"].get("replicaSet")):
            sys.exit(
                f"{name} needs a user, a password, a database and replicaSet=: mongodb://user:password@host:27017/database?replicaSet=rs0"
            )
    first = next(iter(uris.values()))
    key, set_name = os.environ["MONGODB_KEY"], first["options"]["replicaSet"]
    deadline = time.monotonic() + WAIT_S
    retry_until(deadline, initiate, first["nodelist"], key, set_name)
    retry_until(deadline, give_users, list(uris.values()), key, set_name)


if __name__ == "__main__":
    main()
