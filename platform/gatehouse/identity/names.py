"""What tenants, plans and keys may be called."""

import re

from gatehouse.errors import Refused
from gatehouse.principal import OPERATOR_TENANT

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")


def check_name(noun: str, name: str) -> None:
    """Raises Refused. `_operator` never fits: names start with a letter or digit."""
    if name == OPERATOR_TENANT:
        said = "_operator is the deployment's own tenant and comes with its first key"
        raise Refused(f"{said}: gatehouse keys create --tenant _operator", fact=said)
    if NAME.fullmatch(name) is None:
        said = f"a {noun}'s name has 1 to 63 small letters, digits, '-' and '_' and starts with a letter or digit"
        raise Refused(f"{said}, not {name!r}", fact=said)
