"""The bare loop of webhooks: aiohttp, the same signing and the same writes, nothing else. FROZEN.

A change makes old ratios void. No leases, no rights, no order, no breaker, no checks of addresses. Reads what is
pending, BATCH at a time, has 64 in flight, stores each attempt. Run by `make bench`; addresses in the environment.
"""

import asyncio
import gc
import os
import time
from datetime import UTC, datetime
from typing import Any

import uvloop
from aiohttp import ClientSession, ClientTimeout, DummyCookieJar, TCPConnector
from motor.motor_asyncio import AsyncIOMotorClient
from pymongo import UpdateOne
from pymongo.write_concern import WriteConcern

from services.notify.domain.signature import signed_headers
from services.notify.keys import Keys
from services.notify.settings import NotifySettings
from tests.notify.office import SECRET

IN_FLIGHT = 64
BATCH = 256
COLLECT_AFTER_OBJECTS = 10_000


async def main() -> None:
    """Until nothing is pending."""
    settings = NotifySettings()
    keys = Keys(settings)
    client: Any = AsyncIOMotorClient(os.environ["MONGODB_URI"], tz_aware=True)
    database = client.get_database(os.environ["MONGODB_DATABASE"], write_concern=WriteConcern("majority"))
    urls = {one["_id"]: one["url"] async for one in database["subscriptions"].find({})}
    places = asyncio.Semaphore(IN_FLIGHT)
    session = ClientSession(
        connector=TCPConnector(limit=0),
        cookie_jar=DummyCookieJar(),
        timeout=ClientTimeout(total=settings.webhook_timeout_s),
        auto_decompress=False,
    )
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER_OBJECTS)

    async def deliver(delivery: dict[str, Any], event: dict[str, Any]) -> UpdateOne:
        async with places:
            at, began = datetime.now(UTC), time.monotonic()
            body = bytes(event["body"])
            headers = signed_headers(event["id"], body, seconds=int(time.time()), secrets=[SECRET], key=keys.signing)
            headers["Content-Type"] = "application/cloudevents+json"
            url = urls[delivery["subscription"]]
            async with session.post(url, data=body, headers=headers, allow_redirects=False) as answer:
                said = (await answer.content.read(16_384))[:500].decode(errors="replace")
        ms = round((time.monotonic() - began) * 1000)
        attempt = {"at": at, "ms": ms, "status": answer.status, "failure": None, "said": said}
        change = {"$set": {"status": "delivered"}, "$unset": {"due_at": ""}, "$push": {"attempts": attempt}}
        return UpdateOne({"_id": delivery["_id"]}, change)

    while found := await database["deliveries"].find({"status": "pending"}).limit(BATCH).to_list(None):
        wanted = list({one["event"] for one in found})
        events = {e["_id"]: e for e in await database["events"].find({"_id": {"$in": wanted}}).to_list(None)}
        done = await asyncio.gather(*(deliver(one, events[one["event"]]) for one in found))
        await database["deliveries"].bulk_write(done, ordered=False)
    await session.close()
    await asyncio.Event().wait()  # its CPU time is read from outside


if __name__ == "__main__":
    uvloop.run(main())
