"""What S3 calls a bucket, see "General purpose bucket naming rules"."""

from __future__ import annotations

import re

_CHARACTERS = re.compile(r"[a-z0-9.-]+")
_ADDRESS = re.compile(r"\d{1,3}(\.\d{1,3}){3}")
_OLD = re.compile(r"[A-Za-z0-9._-]{3,255}")


def wrong_with(name: str) -> str:
    """Say why no bucket has this name; empty if one could. An ARN is no name, and not looked at."""
    if ":" in name or is_old(name):
        return ""
    foreign = sorted({character for character in name if not _CHARACTERS.fullmatch(character)})
    if foreign:
        return f"only lower-case letters, digits, . and - can stand in it, not {' '.join(map(repr, foreign))}"
    if not 3 <= len(name) <= 63:
        return f"it has 3 to 63 characters, not {len(name)}"
    if not (name[0].isalnum() and name[-1].isalnum()):
        return "it begins and ends with a letter or a digit"
    if ".." in name:
        return "no two dots can stand side by side"
    return "it cannot look like an IP address" if _ADDRESS.fullmatch(name) else ""


def is_old(name: str) -> bool:
    """Tell whether only a bucket of us-east-1 from before March 2018 can have this name: upper case, _, over 63 characters."""
    return bool(_OLD.fullmatch(name)) and (len(name) > 63 or "_" in name or name.lower() != name)
