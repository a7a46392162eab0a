"""CISA's Known Exploited Vulnerabilities as JSON: since when a CVE is known to be exploited.

Records: cve, product, added (ISO date), ransomware ("known" or "unknown": used in ransomware campaigns).
"""

from __future__ import annotations

import hashlib
import re
from typing import Any

import orjson

from hikeshi.errors import InputError, Location
from hikeshi.knowledge.importers.folder import Imported, Origin, check_date, read_bytes
from hikeshi.knowledge.pack import PackSource

_CVE = re.compile(r"CVE-\d{4}-\d{4,7}", re.A)
_MOST = 100_000


def read_kev(origin: Origin) -> Imported:
    """The catalogue's entries; broken ones are counted. Raises InputError when it is no such catalogue."""
    where = Location(str(origin.path))
    raw = read_bytes(origin.path)
    try:
        whole = orjson.loads(raw)
        rows = whole["vulnerabilities"]
        released, version = str(whole.get("dateReleased", ""))[:10], str(whole.get("catalogVersion", ""))[:40]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError("this is no catalogue of known exploited vulnerabilities", source=where,
                         hint="give CISA's known_exploited_vulnerabilities.json") from error
    if not isinstance(rows, list) or len(rows) > _MOST:
        raise InputError("the catalogue holds no list of vulnerabilities, or far too many", source=where)
    told = check_date(released, str(origin.path)) if released else origin.date
    found = Imported(PackSource("cisa-kev", "CISA Known Exploited Vulnerabilities", "CC0-1.0",
                                version or f"content {hashlib.sha256(raw).hexdigest()[:12]}", told,
                                "https://www.cisa.gov/known-exploited-vulnerabilities-catalog"))
    for number, row in enumerate(rows, 1):
        record = _record(row, str(origin.path))
        if record is None:
            found.reject(f"vulnerability {number}", "no CVE number or no date")
        else:
            found.records.append(record)
    return found


def _record(row: Any, place: str) -> dict[str, Any] | None:
    if not isinstance(row, dict) or not isinstance(row.get("cveID"), str) or not _CVE.fullmatch(row["cveID"]):
        return None
    try:
        added = check_date(str(row.get("dateAdded", ""))[:40], place)
    except InputError:
        return None
    product = " ".join(str(row.get(key, ""))[:120] for key in ("vendorProject", "product")).strip()
    used = str(row.get("knownRansomwareCampaignUse", "")).lower() == "known"
    return {"cve": row["cveID"], "product": product, "added": added, "ransomware": "known" if used else "unknown"}
