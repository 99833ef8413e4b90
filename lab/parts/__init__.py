"""Real servers as child processes on free loopback ports: Kafka, MongoDB, a mail server, and our own services."""

from lab.parts.asgi import http_server, service
from lab.parts.broker import kafka
from lab.parts.embedded import embedded_kafka
from lab.parts.mail import mail_server
from lab.parts.mongo import mongod
from lab.parts.pki import authority
from lab.parts.process import NotReady, Part

__all__ = [
    "NotReady",
    "Part",
    "authority",
    "embedded_kafka",
    "http_server",
    "kafka",
    "mail_server",
    "mongod",
    "service",
]
