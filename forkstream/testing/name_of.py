"""An error as a broken rule tells it."""

from __future__ import annotations

from forkstream.errors import DeliveryError
from forkstream.raised_at import raised_at


def name_of(error: BaseException) -> str:
    """Name an error with its code and detail, where it has them, and the plugin's line that raised it."""
    name = repr(error)
    if isinstance(error, DeliveryError):
        parts = [repr(part) for part in (error.code, error.detail) if part]
        name = f"{type(error).__name__}({', '.join(parts)})"
    place = raised_at(error)
    return f"{name} at {place}" if place else name
