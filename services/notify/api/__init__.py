"""How subscriptions are made and their deliveries looked at: a module per noun."""

from services.notify.api import delivery, key, replay, right, subscription

routers = [noun.router for noun in (subscription, delivery, replay, right, key)]
