"""What people do by a link in an e-mail, without signing in: say yes to it, or no."""

from contextlib import suppress

from chassis.clock import now
from services.notify.domain.subscription import LISTENING, NotInThisState, closed, proved
from services.notify.store.endpoints import Endpoints
from services.notify.store.lanes import Lanes
from services.notify.store.subscriptions import Subscriptions


async def confirm(subscription_id: str, *, subscriptions: Subscriptions, lanes: Lanes, endpoints: Endpoints) -> bool:
    """Whoever reads the address agreed: events match from now on. Whether it is so now; False where it was ended.

    To follow the link twice is no mistake. Raises NotFound.
    """
    await endpoints.recovered(subscription_id)  # else its next failure would count from before it was disabled
    try:
        await subscriptions.settle(
            subscription_id, what="confirmed", decide=lambda before: (proved(before, now=now()), None)
        )
    except NotInThisState as refused:
        return refused.is_now in LISTENING
    await lanes.wake(subscription_id)
    return True


async def unsubscribe(subscription_id: str, *, subscriptions: Subscriptions, lanes: Lanes) -> None:
    """Whoever reads the address wants no more. Twice is no mistake. Raises NotFound."""
    with suppress(NotInThisState):
        await subscriptions.settle(subscription_id, what="unsubscribed", decide=lambda before: (closed(before), None))
    await lanes.wake(subscription_id)  # what waits is withheld
