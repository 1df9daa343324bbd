"""The guide from one API version to a later one, from the newest published version of each, for partners of any tenant."""

from datetime import datetime

from sqlmodel import Session

from gatehouse.contracts.contract import Contract, ContractInvalid
from gatehouse.contracts.upgrade import bind_upgrade
from gatehouse.contracts.upgrade_guide import guide_facts
from gatehouse.errors import Refused
from gatehouse.migration.guide import Guide, guide_of, life_of
from gatehouse.migration.store import find_endpoint
from gatehouse.operating.published import newest_contract, repository_of
from gatehouse.serving.names import NameInvalid, parse_api_version
from gatehouse.settings import Settings

EVERYBODY = ""
"""Whose sunset is told: that of tenants without an extension."""


class NotPublished(Refused):
    """No version of a model's API version lies in this repository."""


def migration_guide(session: Session, settings: Settings, model: str, old: str, new: str, now: datetime) -> Guide:
    """Raises NotPublished; Refused, about `new` where it is no later version."""
    if _number(new) <= _number(old):
        fact = f"{model}/{new} is no later version than {model}/{old}"
        raise Refused(f"{fact}; name the older one first", fact=fact, member="new")
    older, newer = (_newest(settings, model, version) for version in (old, new))
    try:
        facts = guide_facts(bind_upgrade(older[1], newer[1], newer[0]))
    except ContractInvalid as error:
        raise Refused(str(error)) from None
    endpoint = find_endpoint(session, model, old)
    return guide_of(facts, settings.base_url, None if endpoint is None else life_of(endpoint, now, EVERYBODY))


def _number(api_version: str) -> int:
    try:
        return parse_api_version(api_version)
    except NameInvalid as error:
        raise Refused(str(error)) from None


def _newest(settings: Settings, model: str, api_version: str) -> tuple[str, Contract]:
    found = newest_contract(repository_of(settings), model, api_version)
    if found is None:
        fact = f"no {api_version} of {model} is published here"
        raise NotPublished(f"{fact}; what is: gatehouse models list", fact=fact)
    return found
