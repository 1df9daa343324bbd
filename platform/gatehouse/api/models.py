"""What a partner may call: granted endpoints with their contracts, by a fixed list of fields."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request

from gatehouse.api.model_bodies import ModelList, ShownModel, answers_with
from gatehouse.api.paths import API_VERSION, MODEL_NAME
from gatehouse.api.principal import Needs
from gatehouse.api.probing import get_and_head
from gatehouse.api.strict_router import strict_router
from gatehouse.api.throttle import Throttle, by_key
from gatehouse.errors import NotFound
from gatehouse.migration.ending import guide_url, moment_text, successor_of
from gatehouse.migration.endpoint import Brownout, Endpoint
from gatehouse.migration.lifecycle import Endpoints
from gatehouse.principal import Principal, Scope

Describe = Callable[[str, str], Mapping[str, Any] | None]
"""Model and API version to the partner's view of its contract; None while it is not served."""
Summary = Callable[[Endpoint, Principal], dict[str, Any]]
"""An endpoint as a partner sees it, now."""
ApiVersion = Annotated[str, Path(pattern=f"^{API_VERSION}$", description="v1, v2, …")]
Caller = Annotated[Principal, Depends(Needs(Scope.MODELS_READ))]
ModelName = Annotated[str, Path(pattern=f"^{MODEL_NAME}$", description="The model's name")]


def models_router(endpoints: Endpoints, describe: Describe, summary: Summary, throttle: Throttle, per_minute: int) -> APIRouter:
    """`GET /v{n}/models` and `GET /v{n}/models/{model}`."""
    router = strict_router(tags=["models"])
    limited = throttle.limit(f"{per_minute}/minute", key_func=by_key)

    @get_and_head(
        router, "/{api_version}/models", summary="The models that your key may call", operation_id="list_models", **answers_with(ModelList)
    )
    @limited
    def list_models(request: Request, api_version: ApiVersion, principal: Caller) -> dict[str, Any]:
        found = endpoints.granted(principal, api_version)
        return {"models": [summary(endpoint, principal) for endpoint in found]}

    @get_and_head(
        router,
        "/{api_version}/models/{model}",
        summary="One model with its contract",
        operation_id="show_model",
        **answers_with(ShownModel),
    )
    @limited
    def show_model(request: Request, api_version: ApiVersion, model: ModelName, principal: Caller) -> dict[str, Any]:
        for endpoint in endpoints.granted(principal, api_version):
            if endpoint.model == model:
                return {**summary(endpoint, principal), "contract": describe(model, api_version)}
        raise NotFound(reason="not_granted")

    return router


def summary_of(endpoint: Endpoint, base_url: str, model_version: str, now: datetime, tenant_id: str) -> dict[str, Any]:
    """An endpoint as a partner sees it; `sunset` is the last day on which it answers this tenant."""
    ending, last_day = endpoint.deprecation, endpoint.last_day(tenant_id)
    return {
        "model": endpoint.model,
        "api_version": endpoint.api_version,
        "lifecycle": endpoint.state_at(now, tenant_id),
        "model_version": model_version,
        "bridged": endpoint.bridged_to is not None,
        "url": f"{base_url}/{endpoint.api_version}/models/{endpoint.model}/predict",
        "deprecated_at": ending.since.isoformat() if ending else None,
        "sunset": last_day.isoformat() if last_day else None,
        "successor": successor_of(endpoint, base_url),
        "reason": ending.reason if ending else None,
        "link": guide_url(endpoint, base_url),
        "brownouts": [brownout_facts(window) for window in endpoint.brownouts if is_told(window, tenant_id, now)],
    }


def is_told(window: Brownout, tenant_id: str, now: datetime) -> bool:
    """Whether a brownout is planned for this tenant and not over."""
    return window.key_id is None and window.tenant_id in (None, tenant_id) and now < window.ends_at


def brownout_facts(window: Brownout) -> dict[str, Any]:
    """When, and which percentage of the calls."""
    return {"starts_at": moment_text(window.starts_at), "ends_at": moment_text(window.ends_at), "share": window.percent}
