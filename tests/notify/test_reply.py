"""What a mail server's reply means."""

import pytest

from services.notify.domain.reply import is_of_address, mail_verdict
from services.notify.domain.schedule import Verdict

OURS, THEIRS = False, True


@pytest.mark.parametrize(
    ("status", "said", "verdict", "whose"),
    [
        (550, "5.1.1 <a@b>: Recipient address rejected: User unknown", Verdict.REFUSED, THEIRS),
        (550, "5.1.10 Recipient not found", Verdict.REFUSED, THEIRS),
        (556, "5.1.10 null MX", Verdict.REFUSED, THEIRS),
        (550, "5.2.1 Mailbox disabled", Verdict.FAILED, THEIRS),
        (550, "5.1.0 <kabar@livinglab.id>: Sender address rejected", Verdict.FAILED, OURS),
        (552, "5.2.2 Mailbox full", Verdict.FAILED, THEIRS),
        (450, "4.2.0 Greylisted, try again", Verdict.FAILED, THEIRS),
        (550, "No such user here", Verdict.FAILED, THEIRS),
        (553, "5.1.8 Sender's domain not found", Verdict.FAILED, OURS),
        (550, "5.1.7 Sender address rejected", Verdict.FAILED, OURS),
        (554, "5.7.1 Relay access denied", Verdict.FAILED, OURS),
        (550, "5.7.26 Unauthenticated e-mail is not accepted", Verdict.FAILED, OURS),
        (452, "4.3.1 Insufficient system storage", Verdict.FAILED, OURS),
        (452, "Too many recipients", Verdict.FAILED, OURS),
        (451, "Local error", Verdict.FAILED, OURS),
        (421, "4.7.0 Try again later", Verdict.FAILED, OURS),
        (554, "", Verdict.FAILED, OURS),
    ],
)
def test_a_refusal_is_the_addresss_or_the_servers_and_seldom_for_good(
    status: int, said: str, verdict: Verdict, whose: bool
) -> None:
    assert (mail_verdict(status, said), is_of_address(status, said)) == (verdict, whose)


def test_what_was_taken_was_taken_and_no_reply_is_none() -> None:
    assert mail_verdict(250, "2.0.0 Ok: queued as 4711") is Verdict.DELIVERED
    assert mail_verdict(None, "5.1.1") is Verdict.FAILED
