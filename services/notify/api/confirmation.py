"""Links in e-mails: pages for people, who sign in nowhere. Nothing changes by opening one: mail scanners open links."""

from typing import Annotated, Any

from fastapi import Query
from fastapi.responses import HTMLResponse

from chassis.openapi import routes
from chassis.problem import NotFound
from chassis.problems import problems
from services.notify.api.parameters import EndpointStore, LaneStore, OwnKeys, OwnLetters, SubscriptionStore
from services.notify.keys import Keys, Purpose
from services.notify.letters import Letters
from services.notify.usecases import confirm as usecases

router = routes("notify")
CONFIRM_WITHIN_S = 3 * 86_400
Token = Annotated[str, Query(max_length=400, description="As in the link of the e-mail.")]
HTML: dict[int | str, dict[str, Any]] = {
    200: {"description": "A page for people.", "content": {"text/html": {"schema": {"type": "string"}}}},
    404: {
        "description": "The link is too old, or none of ours.",
        "content": {"text/html": {"schema": {"type": "string"}}},
    },
}
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
Texts = dict[str, tuple[str, str]]
CONFIRM: Texts = {
    "title": ("Terima kabar lewat surel?", "Get events by e-mail?"),
    "text": (
        "Tekan tombol ini, dan kabar Living Lab dikirim ke alamat Anda. Setiap surel memuat tautan untuk berhenti.",
        "Press the button, and events of the Living Lab are sent to your address. Every e-mail has a link to end it.",
    ),
    "button": ("Setuju", "I agree"),
}
CONFIRMED: Texts = {
    "title": ("Terima kasih", "Thank you"),
    "text": ("Mulai sekarang kabar dikirim ke alamat Anda.", "From now on events are sent to your address."),
}
ENDED: Texts = {
    "title": ("Langganan sudah berakhir", "The subscription has ended"),
    "text": (
        "Tidak ada yang dikirim lagi. Instansi Anda dapat membuat langganan baru kapan saja.",
        "Nothing more is sent. Your organization can make a new subscription at any time.",
    ),
}
UNSUBSCRIBE: Texts = {
    "title": ("Berhenti menerima surel?", "Stop these e-mails?"),
    "text": ("Langganan ini diakhiri; alamat Anda dihapus.", "This subscription ends; your address is forgotten."),
    "button": ("Berhenti", "Stop"),
}
INVALID: Texts = {
    "title": ("Tautan tidak berlaku", "This link is not valid"),
    "text": (
        "Tautan ini sudah kedaluwarsa atau tidak lengkap. Salin seluruhnya dari surel, atau minta surel baru.",
        "It is too old or not whole. Copy all of it from the e-mail, or ask for a new e-mail.",
    ),
}


@router.get("/confirmations", response_class=HTMLResponse, responses=HTML | problems(422, 429, 503))
async def confirmation_page(token: Token, keys: OwnKeys, letters: OwnLetters) -> HTMLResponse:
    """Asks whether e-mails are wanted, with a button that says so."""
    return _page(letters, CONFIRM if _opened(keys, Purpose.CONFIRM, token) else None)


@router.post("/confirmations", response_class=HTMLResponse, responses=HTML | problems(408, 413, 422, 429, 503))
async def confirm_email(
    token: Token,
    keys: OwnKeys,
    letters: OwnLetters,
    subscriptions: SubscriptionStore,
    lanes: LaneStore,
    endpoints: EndpointStore,
) -> HTMLResponse:
    """Whoever reads the address agrees. To say it twice is no mistake."""
    opened = _opened(keys, Purpose.CONFIRM, token)
    if opened is None:
        return _page(letters, None)
    try:
        agreed = await usecases.confirm(opened, subscriptions=subscriptions, lanes=lanes, endpoints=endpoints)
    except NotFound:
        return _page(letters, None)
    return _page(letters, CONFIRMED if agreed else ENDED)


@router.get("/unsubscriptions", response_class=HTMLResponse, responses=HTML | problems(422, 429, 503))
async def unsubscription_page(token: Token, keys: OwnKeys, letters: OwnLetters) -> HTMLResponse:
    """Asks whether e-mails are to end, with a button that says so."""
    return _page(letters, UNSUBSCRIBE if _opened(keys, Purpose.UNSUBSCRIBE, token) else None)


@router.post("/unsubscriptions", response_class=HTMLResponse, responses=HTML | problems(408, 413, 422, 429, 503))
async def unsubscribe(
    token: Token, keys: OwnKeys, letters: OwnLetters, subscriptions: SubscriptionStore, lanes: LaneStore
) -> HTMLResponse:
    """Ends the e-mails: by the page's button, or by a mail program's own (RFC 8058). Twice is no mistake."""
    opened = _opened(keys, Purpose.UNSUBSCRIBE, token)
    if opened is None:
        return _page(letters, None)
    try:
        await usecases.unsubscribe(opened, subscriptions=subscriptions, lanes=lanes)
    except NotFound:
        return _page(letters, None)
    return _page(letters, ENDED)


def _opened(keys: Keys, purpose: Purpose, token: str) -> str | None:
    """The subscription that the link is of."""
    within_s = CONFIRM_WITHIN_S if purpose is Purpose.CONFIRM else None
    try:
        return keys.open_for(purpose, token, within_s=within_s).decode()
    except ValueError:
        return None


def _page(letters: Letters, texts: Texts | None) -> HTMLResponse:
    page = letters.page(**(texts or INVALID))
    return HTMLResponse(page, status_code=200 if texts else 404, headers=HEADERS)
