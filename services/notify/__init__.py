"""Ministries and portals hear of every event: subscriptions, deliveries, attempts."""
