"""What may be refused about a commitment and its signatures, each with a stable code and what to do next."""

from chassis.problem import Problem
from contracts.commitment import CommitmentStatus

BLOCKS_MAX = 80
"""64 regions, as in Bali (2022), and some more; beyond that a sheet each."""


class NotInThisState(Problem):
    """The command does not apply to what the commitment is now."""

    status, code, title = 409, "not_in_this_state", "The commitment's status does not allow this"

    def __init__(self, status: CommitmentStatus) -> None:
        super().__init__(
            f"It is {status.value}. A draft is opened, an open one is signed and closed, one in force is amended or "
            "completed.",
            f"Statusnya {status.value}. Rancangan dibuka, yang terbuka ditandatangani lalu ditutup, yang berlaku dapat "
            "diubah lewat adendum atau diselesaikan.",
            commitment_status=status.value,
        )


class TextFixed(Problem):
    """What was opened for signing is signed as it is."""

    status, code, title = 409, "text_fixed", "This text was opened for signing and can't change"
    detail = "Begin an amendment: it becomes a new edition, which is signed again."
    detail_id = "Mulai adendum: naskahnya menjadi edisi baru dan ditandatangani ulang."


class NotReady(Problem):
    """Something is missing before it can be opened."""

    status, code, title = 409, "not_ready", "It can't be opened yet"


class PartyTwice(Problem):
    """An organization signs once."""

    status, code, title = 409, "party_twice", "This organization is a party already"
    detail = "Each organization has one place in one role. Look at `parties`."
    detail_id = "Setiap organisasi punya satu tempat untuk satu peran. Lihat `parties`."


class NotOpenToThem(Problem):
    """They were neither named nor are of what it is open to."""

    status, code, title = 403, "not_open_to_you", "This commitment is not open to your organization"
    detail = "Ask its initiator or facilitator to name you."
    detail_id = "Minta inisiator atau fasilitator menetapkan organisasi Anda sebagai pihak."


class TooManyBlocks(Problem):
    """More places than one document holds."""

    status, code, title = 409, "too_many_blocks", "The document has no room for more parties"
    detail = f"At most {BLOCKS_MAX} places are printed. Whoever joins later signs a sheet of their own."
    detail_id = f"Paling banyak {BLOCKS_MAX} tempat tanda tangan. Yang menyusul menandatangani lembar tersendiri."


class AlreadySigned(Problem):
    """An organization signs an edition once."""

    status, code, title = 409, "already_signed", "Your organization has signed this"
    detail = "Nothing more is to be done: GET the commitment, its `signatures` hold yours."
    detail_id = "Tidak ada yang perlu dilakukan lagi: tanda tangan Anda ada di `signatures` komitmen ini."


class OtherText(Problem):
    """What was read is not what is signed."""

    status, code, title = 409, "other_text", "The text is not the one that you read"
    detail = "Read the present edition, then send its `text_sha256`."
    detail_id = "Baca edisi yang sekarang, lalu kirim `text_sha256`-nya."


class TurnTaken(Problem):
    """Somebody else signs right now."""

    status, code, title = 409, "turn_taken", "Somebody else is signing right now"

    def __init__(self, block: str) -> None:
        super().__init__(
            "Signatures are made one after the other. Try again after `Retry-After` seconds, with the same "
            "`Idempotency-Key`.",
            "Tanda tangan dibubuhkan bergantian. Coba lagi setelah `Retry-After` detik dengan `Idempotency-Key` yang "
            "sama.",
            headers={"Retry-After": "2"},
            block=block,
        )


class OutcomeUnknown(Problem):
    """A signature may have been made that nobody brought back."""

    status, code, title = 409, "outcome_unknown", "It is not known whether the signature before was made"
    detail = (
        "The signing service did not answer after the document was sent. The facilitator has to settle it: look there "
        "whether it was signed, then upload the signed document or say that it was not (`settlement`)."
    )
    detail_id = (
        "Layanan tanda tangan tidak menjawab setelah dokumen dikirim. Fasilitator harus memastikan: periksa di sana "
        "apakah sudah ditandatangani, lalu unggah dokumennya atau nyatakan belum (`settlement`)."
    )


class NoSignatory(Problem):
    """Nobody was named who signs for the party."""

    status, code, title = 409, "no_signatory", "Nobody is named who signs for your organization"
    detail = "Name the signatory first: POST …/parties/{block}/signatory."
    detail_id = "Tetapkan penanda tangan lebih dahulu: POST …/parties/{block}/signatory."


class SignatoryChanged(Problem):
    """Somebody else was named while the request waited for its turn."""

    status, code, title = 409, "signatory_changed", "Somebody else was named as your signatory meanwhile"
    detail = "Nothing was signed. GET the commitment, and sign as the one who is named there."
    detail_id = (
        "Belum ada yang ditandatangani. GET komitmennya, lalu tandatangani sebagai penanda tangan yang tercantum."
    )


class NothingToSettle(Problem):
    """No outcome is unknown."""

    status, code, title = 409, "nothing_to_settle", "No signature's outcome is unknown here"
    detail = "There is nothing to settle. GET the commitment to see where it stands."
    detail_id = "Tidak ada yang perlu dipastikan. GET komitmennya untuk melihat statusnya."
