"""How subscriptions are made and their deliveries looked at: a module per noun."""

from services.notify.api import delivery, key, replay, right, stream, subscription

routers = [noun.router for noun in (subscription, delivery, replay, stream, right, key)]
