"""What is sent can be checked with public libraries, and with nothing but the specification."""

import json
from base64 import b64decode
from datetime import UTC, datetime, timedelta
from time import time
from typing import Any
from uuid import UUID

import pytest
from cloudevents.v1.http import from_json
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from pydantic import SecretStr
from standardwebhooks import Webhook, WebhookVerificationError

from contracts.fact import envelope_of
from contracts.regions import DATA
from services.notify.domain.event import delivery_id, structured
from services.notify.domain.signature import new_secret, public_form, signed_headers
from services.notify.domain.subscription import Secret, good_secrets, rotated
from services.notify.keys import Keys
from services.notify.settings import NotifySettings
from tests.notify.made import subscription

KEY = Ed25519PrivateKey.generate()
NOW = datetime.now(UTC)
BODY = b'{"a": 1}'
EXAMPLES = sorted((DATA.parent / "examples").glob("*.json"))


def signed(*secrets: str, body: bytes = BODY) -> dict[str, str]:
    return signed_headers("msg", body, seconds=int(time()), secrets=secrets, key=KEY)


def test_the_public_library_takes_it_and_refuses_another_body_or_secret() -> None:
    secret = new_secret()
    headers = signed(secret)
    assert Webhook(secret).verify(BODY, headers) == {"a": 1}
    for body, other in ((b'{"a": 2}', secret), (BODY, new_secret())):
        with pytest.raises(WebhookVerificationError):
            Webhook(other).verify(body, headers)


def test_while_a_secret_is_replaced_either_is_taken() -> None:
    new, old = new_secret(), new_secret()
    headers = signed(new, old)
    assert Webhook(new).verify(BODY, headers) == Webhook(old).verify(BODY, headers)


def test_without_a_shared_secret_the_public_key_is_enough() -> None:
    headers = signed(new_secret())
    [v1a] = [one.removeprefix("v1a,") for one in headers["webhook-signature"].split(" ") if one.startswith("v1a,")]
    public = Ed25519PublicKey.from_public_bytes(b64decode(public_form(KEY.public_key()).removeprefix("whpk_")))
    content = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + BODY
    public.verify(b64decode(v1a), content)
    with pytest.raises(InvalidSignature):
        public.verify(b64decode(v1a), content + b" ")


def test_an_old_secret_signs_until_its_time_is_over() -> None:
    made = subscription(secrets=(Secret("old", NOW - timedelta(days=30)),))
    after = rotated(made, "new", now=NOW, overlap=timedelta(hours=2))
    assert good_secrets(after, now=NOW + timedelta(hours=1)) == ["new", "old"]
    assert good_secrets(after, now=NOW + timedelta(hours=2)) == ["new"]
    twice = rotated(after, "newest", now=NOW, overlap=timedelta(0))
    assert good_secrets(twice, now=NOW) == ["newest"]


def settings(sealing: str, **more: Any) -> NotifySettings:
    signing = SecretStr("A" * 43 + "=")
    return NotifySettings(webhook_signing_key=signing, webhook_sealing_keys=SecretStr(sealing), **more)


def test_secrets_are_sealed_and_open_with_a_new_key_beside_the_old() -> None:
    old, new = "B" * 43 + "=", "C" * 43 + "="
    sealed = Keys(settings(old)).seal("whsec_x")
    assert "whsec_x" not in sealed
    assert Keys(settings(f"{new}, {old}")).open(sealed) == "whsec_x"
    with pytest.raises(ValueError, match="WEBHOOK_SEALING_KEYS"):
        Keys(settings(new)).open(sealed)


def test_without_keys_it_is_said_how_to_make_them() -> None:
    with pytest.raises(ValueError, match="openssl rand -base64 32"):
        Keys(NotifySettings())


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_golden_example_becomes_a_cloudevent_with_the_very_same_body(path: Any) -> None:
    example = json.loads(path.read_bytes())
    value = json.dumps(example["body"], ensure_ascii=False).encode()
    envelope = envelope_of([(name, header.encode()) for name, header in example["headers"].items()])
    message = structured(envelope, value)
    assert message == structured(envelope, value)
    read = from_json(message)
    assert read.data == example["body"]
    assert (read["id"], read["type"]) == (example["headers"]["ce_id"], example["headers"]["ce_type"])
    assert value in message


def test_a_delivery_has_one_id_for_ever_and_a_replay_another() -> None:
    one = delivery_id("e", "s")
    assert UUID(one).version == 5
    assert one == delivery_id("e", "s") != delivery_id("e", "s2")
    assert len({one, delivery_id("e", "s", replay="r1"), delivery_id("e", "s", replay="r2")}) == 3
