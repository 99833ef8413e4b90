"""What people may be told of what was kept for their organization: judged anew whenever they look."""

from collections.abc import Sequence
from dataclasses import dataclass

from chassis.store import Document
from chassis.viewer import Viewer
from services.notify.domain.right import may_be_told, right_of
from services.notify.store.events import Events, about
from services.notify.store.rights import Rights
from services.notify.store.subscriptions import Subscriptions, may_manage


@dataclass(frozen=True, slots=True)
class Judge:
    """Where it is written what anybody may be told."""

    events: Events
    rights: Rights
    subscriptions: Subscriptions

    async def tellable(
        self, deliveries: Sequence[Document], *, viewer: Viewer, bodies: bool = False
    ) -> list[tuple[Document, Document]]:
        """Those whose event the viewer's organization, its subscription and the viewer may all be told, with the event.

        What a colleague alone may see, and what nobody there may be told any more, is left out.
        """
        events = await self.events.many({one["event"] for one in deliveries}, bodies=bodies)
        subscriptions = await self.subscriptions.many({one["subscription"] for one in deliveries})
        organization = viewer.organization or ""
        given, own = (await self.rights.many([organization]))[organization], right_of(viewer)
        owner = organization if may_manage(viewer) else ""  # what becomes of subscriptions, managers are told
        found: list[tuple[Document, Document]] = []
        for one in deliveries:
            event, subscription = events.get(one["event"]), subscriptions.get(one["subscription"])
            if event is None or subscription is None:
                continue
            rights = (given, own, subscription.right)
            if may_be_told(about(event), organization=owner, rights=rights, subscription=subscription.id):
                found.append((one, event))
        return found
