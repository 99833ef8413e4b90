"""How subscriptions are made and their deliveries looked at: a module per noun."""

from services.notify.api import confirmation, delivery, inbox, key, replay, right, stream, subscription

routers = [noun.router for noun in (subscription, delivery, replay, inbox, stream, right, key, confirmation)]
