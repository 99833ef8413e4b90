"""Who may do what on Kafka: a page of Strimzi's KafkaUsers, put into effect where Strimzi does not run."""

from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import yaml
from confluent_kafka import KafkaException
from confluent_kafka.admin import (  # its documented names; the package does not declare them exported
    AclBinding,  # pyright: ignore[reportPrivateImportUsage]
    AclBindingFilter,  # pyright: ignore[reportPrivateImportUsage]
    AclOperation,  # pyright: ignore[reportPrivateImportUsage]
    AclPermissionType,  # pyright: ignore[reportPrivateImportUsage]
    ResourcePatternType,  # pyright: ignore[reportPrivateImportUsage]
    ResourceType,  # pyright: ignore[reportPrivateImportUsage]
    ScramCredentialInfo,  # pyright: ignore[reportPrivateImportUsage]
    ScramMechanism,  # pyright: ignore[reportPrivateImportUsage]
    UserScramCredentialUpsertion,  # pyright: ignore[reportPrivateImportUsage]
)

from lab.topics import BrokerRefused, admin_of

_Filter: Any = AclBindingFilter  # None stands for any, which its declared types leave out
ITERATIONS = 4096
"""Of SCRAM: what Kafka's own tools take."""
ANY_HOST = "*"


def grant(bootstrap_servers: str, page: Path, passwords: Mapping[str, str]) -> list[str]:
    """Give each user of the page whose password is known that password, the rights that stand there, and no others.

    Returns their names. Safe to repeat; that is how a password or a right is changed. Raises BrokerRefused.
    """
    users = [user for user in yaml.safe_load_all(page.read_text()) if user["metadata"]["name"] in passwords]
    admin: Any = admin_of(bootstrap_servers)
    try:
        for user in users:
            _grant(admin, user, passwords[user["metadata"]["name"]])
    except KafkaException as failure:
        raise BrokerRefused(f"rights can't be given on {bootstrap_servers}: {failure.args[0]}") from failure
    return [user["metadata"]["name"] for user in users]


def _grant(admin: Any, user: Mapping[str, Any], password: str) -> None:
    name = user["metadata"]["name"]
    scram = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, ITERATIONS)
    _wait(admin.alter_user_scram_credentials([UserScramCredentialUpsertion(name, scram, password.encode())]))
    asked = set(_bindings(user))
    every = _Filter(
        *(ResourceType.ANY, None, ResourcePatternType.ANY, f"User:{name}", None),
        *(AclOperation.ANY, AclPermissionType.ANY),
    )
    there: set[AclBinding] = set(admin.describe_acls(every).result())
    if new := list(asked - there):
        _wait(admin.create_acls(new))
    if gone := [_filter_of(binding) for binding in there - asked]:
        _wait(admin.delete_acls(gone))


def _bindings(user: Mapping[str, Any]) -> Iterable[AclBinding]:
    for acl in user["spec"]["authorization"]["acls"]:
        resource = acl["resource"]
        prefixed = resource.get("patternType") == "prefix"
        for operation in acl["operations"]:
            yield AclBinding(
                ResourceType[resource["type"].upper()],
                resource["name"],
                ResourcePatternType.PREFIXED if prefixed else ResourcePatternType.LITERAL,
                f"User:{user['metadata']['name']}",
                ANY_HOST,
                AclOperation[operation.upper()],
                AclPermissionType.ALLOW,
            )


def _filter_of(binding: Any) -> AclBindingFilter:
    return _Filter(
        *(binding.restype, binding.name, binding.resource_pattern_type, binding.principal, binding.host),
        *(binding.operation, binding.permission_type),
    )


def _wait(outcomes: Mapping[Any, Future[Any]]) -> None:
    for outcome in outcomes.values():
        outcome.result()
