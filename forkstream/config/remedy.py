"""What to do about an error that keeps something from working, by its code."""

from __future__ import annotations

_REMEDIES = {
    "denied": "allow it to the identity that forkstream runs as",
    "credentials": "give forkstream credentials that are valid",
    "missing": "create it, or correct its name, the region or the account",
    "misconfigured": "set the region, in aws or as AWS_REGION",
    "wrong_region": "name the region in which it lies, in aws",
    "key_unusable": "enable its KMS key",
    "clock_skew": "set this machine's clock",
    "certificate": "trust the authority that signed it, or correct the address",
    "connection": "correct the address, start what should answer there, or open the way to it",
    "timeout": "correct the address, or open the way to it: a firewall lets a request wait",
    "no_answer": "correct the address, or open the way to it: a firewall lets a request wait",
    "directory_unusable": "make the directory, and let the user that forkstream runs as write to it",
}


def remedy(code: str) -> str:
    """Say what to do next; empty where nobody but the error's own text can tell."""
    return _REMEDIES.get(code, "")
