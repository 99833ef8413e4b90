"""What people do by a link in an e-mail, without signing in: say yes to it, or no."""

from chassis.clock import now
from services.notify.domain.subscription import LISTENING, NotInThisState, Status, Subscription, closed, proved
from services.notify.store.endpoints import Endpoints
from services.notify.store.lanes import Lanes
from services.notify.store.subscriptions import Subscriptions


async def confirm(subscription_id: str, *, subscriptions: Subscriptions, lanes: Lanes, endpoints: Endpoints) -> bool:
    """Whoever reads the address agreed: events match from now on. Whether it is so now; False where it was ended.

    To follow the link twice is no mistake. Raises NotFound.
    """

    def decide(before: Subscription) -> tuple[Subscription, None]:
        return (before if before.status in LISTENING else proved(before, now=now())), None

    await endpoints.recovered(subscription_id)
    try:
        await subscriptions.settle(subscription_id, what="confirmed", decide=decide)
    except NotInThisState:
        return False
    await lanes.wake(subscription_id)
    return True


async def unsubscribe(subscription_id: str, *, subscriptions: Subscriptions) -> None:
    """Whoever reads the address wants no more. Twice is no mistake. Raises NotFound."""

    def decide(before: Subscription) -> tuple[Subscription, None]:
        return (before if before.status is Status.CLOSED else closed(before)), None

    await subscriptions.settle(subscription_id, what="unsubscribed", decide=decide)
