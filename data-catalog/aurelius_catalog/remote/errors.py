"""The service's refusals, turned back into the exceptions they were there."""

from __future__ import annotations

import httpx

from aurelius_catalog import errors

_ERRORS = {error.__name__: error for error in errors.AureliusError.__subclasses__()}
_ERROR_FOR_STATUS: dict[int, type[errors.AureliusError]] = {
    400: errors.InvalidRequest,
    401: errors.PermissionDenied,
    403: errors.PermissionDenied,
    404: errors.NotFound,
    422: errors.InvalidRequest,
    502: errors.Unreachable,
    503: errors.Unreachable,
    504: errors.Unreachable,
}


def read_refusal(answer: httpx.Response) -> errors.AureliusError:
    """Turn the service's refusal back into the exception it was there."""
    try:
        body = answer.json()
        detail, name = str(body["detail"]), str(body.get("error"))
    except (ValueError, KeyError, TypeError, AttributeError):
        detail, name = f"The catalog answered with status {answer.status_code}.", ""
    kind = _ERRORS.get(name) or _ERROR_FOR_STATUS.get(answer.status_code, errors.AureliusError)
    return kind(detail)
