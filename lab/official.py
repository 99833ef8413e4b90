"""KemenPANRB imports what it published: first a dry run, then the import, over HTTP as its own system would."""

import asyncio
import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

from lab.errors import LabError
from lab.published import RESULTS_2023, RESULTS_2024_WEST_JAVA, SUM_COLUMN
from lab.region import Access, Visitor, fresh_key

CARRIED_WITHIN_S = 60.0
POLL_S = 0.1


@dataclass(frozen=True, slots=True)
class Decreed:
    """Published results, and what decreed them. `national`: the average as it was printed in the report."""

    cycle: str
    file: Path
    decree: str
    date: str
    national: str


# Numbers of the decrees: secondary sources; their dates are made. Averages: the reports that data/README.md names.
DECREED = (
    Decreed("spbe-2023", RESULTS_2023, "Keputusan Menteri PANRB Nomor 13 Tahun 2024", "2024-01-11", "2.79"),
    Decreed("spbe-2024", RESULTS_2024_WEST_JAVA, "Keputusan Menteri PANRB Nomor 663 Tahun 2024", "2024-12-31", "3.12"),
)


def table(decreed: Decreed) -> bytes:
    """CSV of the columns that were printed, and a row with the national average."""
    with decreed.file.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    out = io.StringIO()
    columns = [name for name in rows[0] if not name.startswith(SUM_COLUMN)]
    writer = csv.DictWriter(out, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows([*rows, {"code": "nasional", "name": "Indeks SPBE Nasional", "index": decreed.national}])
    return out.getvalue().encode()


async def take_over(access: Access, ministry: Visitor, decreed: Decreed) -> Mapping[str, Any]:
    """Import the results; what the service said of them, once every region has its own. Raises LabError."""
    imports = access.url("scoring", "official/imports")
    asked = {"cycle": decreed.cycle, "decree": decreed.decree, "decree_date": decreed.date}
    content = table(decreed)

    async def send(**more: str) -> Any:
        headers = {**fresh_key(), "Content-Type": "text/csv"}
        return await ministry.send("POST", imports, params=asked | more, content=content, headers=headers)

    await send(dry_run="true")
    accepted = await send()
    status = f"{access.services['scoring']}{accepted.headers['location']}"
    deadline = monotonic() + CARRIED_WITHIN_S
    while (await ministry.send("GET", status)).json()["status"] != "carried":
        if monotonic() > deadline:
            raise LabError(f"{status} is not carried after {CARRIED_WITHIN_S:.0f} s")
        await asyncio.sleep(POLL_S)
    return accepted.json()
