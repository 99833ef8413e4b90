"""What somebody would write by hand for one read: a Starlette route that checks the token and makes the one query.

Frozen, as the side that reads are compared with. The same queries on the same indexes, the same token check (one
signature), JSON by orjson; no limits, no telemetry, no viewers, no ETag, no problem texts.
"""

import os
from typing import Any

import orjson
from bson.decimal128 import Decimal128
from joserfc import jwt
from joserfc.jwk import ECKey
from motor.motor_asyncio import AsyncIOMotorClient
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

HIDDEN = {"digest": 0, "order": 0, "outbox": 0, "requests": 0, "version": 0}
Documents = list[dict[str, Any]]


def create_app() -> Starlette:
    """Reads BENCH_KEY, MONGODB_URI and MONGODB_DATABASE."""
    key = ECKey.import_key(orjson.loads(os.environ["BENCH_KEY"]))
    client: AsyncIOMotorClient[dict[str, Any]] = AsyncIOMotorClient(os.environ["MONGODB_URI"], tz_aware=True)
    database = client[os.environ["MONGODB_DATABASE"]]

    def answer(request: Request, found: object) -> Response:
        jwt.decode(request.headers["authorization"].removeprefix("Bearer "), key, algorithms=["ES256"])
        return Response(orjson.dumps(found, default=_text), media_type="application/json")

    async def standings(request: Request) -> Response:
        asked = request.query_params
        where = {
            "cycle": asked["cycle"],
            "kind": asked["kind"],
            "province": asked["province"],
            "order.self": {"$exists": True},
        }
        wanted = {"region": 1, "order": 1, "scores.self.index": 1, "scores.self.predicate": 1}
        page = database["current"].find(where, wanted).sort([("order.self", -1), ("_id", 1)])
        return answer(request, await page.limit(int(asked["limit"]) + 1).to_list(None))

    async def portrait(request: Request) -> Response:
        found = database["current"].find({"region": request.path_params["region"]}, HIDDEN).sort("period", -1)
        return answer(request, await found.limit(50).to_list(None))

    async def compare(request: Request) -> Response:
        asked = request.query_params
        regions = asked.getlist("region")
        where = {"region": {"$in": regions}, "cycle": asked["cycle"], "order.self": {"$exists": True}}
        return answer(request, await database["current"].find(where, HIDDEN).limit(len(regions)).to_list(None))

    async def summary(request: Request) -> Response:
        name = f"{request.path_params['cycle']}/{request.query_params['province']}"
        wanted = {"parts.self.supervised": 1, "as_of": 1}
        return answer(request, await database["summaries"].find_one({"_id": name}, wanted))

    return Starlette(
        routes=[
            Route("/readyz", lambda _: Response()),
            Route("/scoring/v1/standings", standings),
            Route("/scoring/v1/regions/{region}", portrait),
            Route("/scoring/v1/comparison", compare),
            Route("/scoring/v1/summaries/{cycle}", summary),
        ]
    )


def _text(value: object) -> str:
    if isinstance(value, Decimal128):
        return str(value)
    raise TypeError(type(value).__name__)
