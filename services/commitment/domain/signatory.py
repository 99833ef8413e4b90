"""Who signs for an organization: a person in an office, in a capacity, for as long as their authority lasts."""

from datetime import date

from chassis.problem import Problem
from contracts.commitment import Capacity
from contracts.fact import Frozen


class NotTheirDay(Problem):
    """Before or after the signatory's authority."""

    status, code, title = 409, "outside_authority", "The signatory has no authority today"
    detail = "Today is not within the dates of their authority. Name whoever holds the office now."
    detail_id = "Hari ini di luar masa kewenangannya. Tetapkan pejabat yang berwenang saat ini."


class Signatory(Frozen):
    """Heads of region change with elections: what is kept with a signature is who it was that day."""

    name: str
    office: str
    capacity: Capacity
    authority_from: date
    authority_to: date | None
    certificate_sha256: str | None = None
    """Of the certificate that they sign with, where it doesn't bear their name as it is written here."""

    def check_authority(self, on: date) -> None:
        """Raises NotTheirDay."""
        if on < self.authority_from or (self.authority_to is not None and on > self.authority_to):
            raise NotTheirDay
