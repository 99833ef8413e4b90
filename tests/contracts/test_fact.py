"""Envelopes: what is not a fact's header set is refused, by name, and never otherwise."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.fact import Envelope, MalformedEnvelope, Visibility, envelope_of

TEXT = st.text(min_size=1, max_size=40)
ENVELOPES = st.builds(
    Envelope,
    id=st.uuids(),
    type=TEXT,
    source=TEXT,
    subject=TEXT,
    time=st.datetimes(min_value=datetime(2000, 1, 1), max_value=datetime(2100, 1, 1), timezones=st.just(UTC)).map(
        lambda time: time.replace(microsecond=time.microsecond // 1000 * 1000)
    ),
    revision=st.integers(0, 10**15 - 1),
    rule=st.integers(0, 10**6),
    visibility=st.sampled_from(Visibility),
    region=st.none() | st.from_regex(r"\d{2}(\.\d{2})?", fullmatch=True),
)
REQUIRED = ["specversion", "id", "type", "source", "subject", "time", "revision", "rule", "visibility"]
BAD = {
    "ce_specversion": st.sampled_from([b"", b"0.3", b"1", b"\xff"]),
    "ce_id": st.sampled_from([b"", b"7", b"not-a-uuid", b"\xff\xfe"]),
    "ce_time": st.sampled_from([b"", b"yesterday", b"2026-13-01T00:00:00Z", b"2026-11-02T03:15:42", b"1e9"]),
    "ce_revision": st.sampled_from([b"", b"-1", b"1.0", b"0x1", "\u0663".encode(), b"1" * 16, b"nan"]),
    "ce_rule": st.sampled_from([b"", b"-1", b" 1", b"1_0"]),
    "ce_visibility": st.sampled_from([b"", b"PUBLIC", b"secret"]),
    "ce_region": st.sampled_from([b"\xff", None]),
}


@given(ENVELOPES)
def test_an_envelope_reads_back_as_it_was_written(envelope: Envelope) -> None:
    assert envelope_of(envelope.headers()) == envelope


@given(ENVELOPES, st.sampled_from(REQUIRED))
def test_a_missing_header_is_refused_by_name(envelope: Envelope, missing: str) -> None:
    headers = [(name, value) for name, value in envelope.headers() if name != f"ce_{missing}"]
    with pytest.raises(MalformedEnvelope, match=f"ce_{missing}"):
        envelope_of(headers)


@given(ENVELOPES, st.data())
def test_a_header_that_holds_something_else_is_refused(envelope: Envelope, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(BAD)))
    headers: dict[str, bytes | None] = {**dict(envelope.headers()), name: data.draw(BAD[name])}
    with pytest.raises(MalformedEnvelope):
        envelope_of(list(headers.items()))


@given(st.dictionaries(st.sampled_from([f"ce_{n}" for n in REQUIRED]), st.none() | st.binary(max_size=40)))
def test_arbitrary_bytes_raise_nothing_but_malformed_envelope(headers: dict[str, Any]) -> None:
    with pytest.raises(MalformedEnvelope):
        envelope_of(list({"ce_specversion": b"1.0", **headers}.items()))


@given(ENVELOPES)
def test_headers_that_others_add_are_ignored(envelope: Envelope) -> None:
    assert envelope_of([*envelope.headers(), ("traceparent", b"\xff"), ("epoch", b"3")]) == envelope


@given(ENVELOPES)
def test_time_travels_in_utc(envelope: Envelope) -> None:
    in_jakarta = replace(envelope, time=envelope.time.astimezone(timezone(timedelta(hours=7))))
    assert in_jakarta.headers() == envelope.headers()
    assert dict(in_jakarta.headers())["ce_time"].endswith(b"Z")
