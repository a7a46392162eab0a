"""Entra ID (Azure AD) sign-in and audit records: Graph, portal exports, diagnostic settings.

Times: createdDateTime, activityDateTime and time say their zone; a portal CSV may be local.
An error code of 0 is a success.
Source: Microsoft Graph, resource types "signIn" and "directoryAudit"; Azure Monitor, "SigninLogs".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hikeshi.parse.context import Context, Event
from hikeshi.parse.flat import flatten
from hikeshi.parse.names import map_record

_SIGN_IN = frozenset(
    {
        "SignInLogs",
        "NonInteractiveUserSignInLogs",
        "ServicePrincipalSignInLogs",
        "SigninLogs",
        "ManagedIdentitySignInLogs",
        "ADFSSignInLogs",
        "RiskyUsers",
        "UserRiskEvents",
        "AADUserRiskEvents",
    }
)
_CATEGORIES = _SIGN_IN | {"AuditLogs", "ProvisioningLogs", "MicrosoftGraphActivityLogs"}


def owns(value: Mapping[str, Any]) -> bool:
    if str(value.get("category")) in _CATEGORIES and ("properties" in value or "tenantId" in value):
        return True
    keys = value.keys()
    return (
        (
            {"userPrincipalName", "createdDateTime", "appDisplayName"} <= keys
            and ("ipAddress" in keys or "status" in keys)
        )
        or {"activityDateTime", "activityDisplayName", "initiatedBy"} <= keys
        or {"riskEventType", "activityDateTime", "userPrincipalName"} <= keys
    )


def read(value: Mapping[str, Any], context: Context) -> Event:
    record = flatten(value)
    sign_in = str(value.get("category")) in _SIGN_IN or "createdDateTime" in value or "riskEventType" in value
    event = map_record(record, context, dataset="entra.signin" if sign_in else "entra.audit")
    cells = event.cells
    cells["event.category"] = "authentication" if sign_in else "iam"
    code = next(
        (
            record[k]
            for k in ("status.errorCode", "properties.status.errorCode", "resultType")
            if record.get(k, "").isdigit()
        ),
        None,
    )
    if code is not None:
        cells["event.outcome"] = "success" if int(code) == 0 else "failure"
        cells["event.code"] = code
    return event
