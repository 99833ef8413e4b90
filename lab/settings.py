"""The chassis' settings for what the lab itself does on Kafka and MongoDB."""

from pathlib import Path

from pydantic import SecretStr

from chassis.settings import Settings
from lab import system


def settings_at(directory: Path) -> Settings:
    """Addresses as `livinglab up` gave them, or as the environment says. Raises LabError if there are neither."""
    return Settings(
        kafka_bootstrap_servers=system.address_of("kafka", directory),
        mongodb_uri=SecretStr(system.address_of("mongod", directory)),
    )
