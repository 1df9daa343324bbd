"""Names that may become a path: checked before any path is made of them."""

import re

_MODEL = re.compile(r"[a-z][a-z0-9_]{0,62}")
_VERSION = re.compile(r"([1-9][0-9]{0,8})\.(0|[1-9][0-9]{0,8})\.(0|[1-9][0-9]{0,8})")
_API_VERSION = re.compile(r"v([1-9][0-9]{0,5})")


class NameInvalid(ValueError):
    """The name cannot be one of a model, a version or an API version; the message says what can."""


def check_model(name: str) -> str:
    """The name itself. Raises NameInvalid."""
    if not _MODEL.fullmatch(name):
        raise NameInvalid("a model's name is 1 to 63 of a-z, 0-9 and _, and begins with a letter")
    return name


def parse_version(version: str) -> tuple[int, int, int]:
    """(major, minor, patch) of a model version, whose major is its API version and so at least 1. Raises NameInvalid."""
    found = _VERSION.fullmatch(version)
    if not found:
        raise NameInvalid("a model version is MAJOR.MINOR.PATCH with a major of at least 1 and nothing behind it, such as 1.2.0")
    major, minor, patch = found.groups()
    return int(major), int(minor), int(patch)


def parse_api_version(api_version: str) -> int:
    """The major number behind `v1`. Raises NameInvalid."""
    found = _API_VERSION.fullmatch(api_version)
    if not found:
        raise NameInvalid("an API version is v1, v2, …")
    return int(found.group(1))
