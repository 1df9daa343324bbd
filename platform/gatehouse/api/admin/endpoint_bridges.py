"""`/admin/endpoints/{model}/{api_version}/bridge` and `unbridge`: an older API version is answered by its successor's model."""

from fastapi import APIRouter, Request, Response

from gatehouse.api.admin.changing import AdminWriter, changes, said_by_admin
from gatehouse.api.admin.endpoint_bodies import BridgeEnd, EndpointEntry, NewBridge, OneVersion, endpoint_entry
from gatehouse.api.admin.endpoint_desk import Desks
from gatehouse.api.admin.endpoints import ONE, PREFIX
from gatehouse.api.admin.entity_tags import tagged
from gatehouse.api.admin.parts import AdminParts
from gatehouse.api.admin.tenant_bodies import ModelPath
from gatehouse.api.json_body import parsed
from gatehouse.api.key_bodies import Closed
from gatehouse.api.keys import Body
from gatehouse.api.strict_router import strict_router
from gatehouse.contracts.proved_upgrade import UpgradeProof, gap_facts
from gatehouse.operating.bridging import begin_bridge, end_bridge


class ProofGap(Closed):
    """Values of the older contract's fields that are refused, as the rules say."""

    place: str
    sources: list[str]
    target: str
    code: str
    values: str
    detail: str
    declared: bool


class BridgeProof(Closed):
    """What of the older contract's rows becomes valid rows of the newer one; `rows` were tried on top of the proof."""

    old: str
    new: str
    rows: int
    gaps: list[ProofGap]


class BridgedEndpoint(EndpointEntry):
    """An endpoint, with the proof that its bridge stands on."""

    proof: BridgeProof


def endpoint_bridges_router(parts: AdminParts, desks: Desks) -> APIRouter:
    """Bridge an endpoint, and let its own model answer again."""
    router = strict_router(prefix=PREFIX, tags=["admin: endpoints"])

    @router.post(
        f"{ONE}/bridge",
        summary="Let a later API version's model answer, through the upgrade rules, which are proved first",
        operation_id="admin_bridge",
        **changes(404, 409, body=NewBridge),
    )
    @parts.limited
    def bridge(
        request: Request, response: Response, principal: AdminWriter, model: ModelPath, api_version: OneVersion, body: Body
    ) -> BridgedEndpoint:
        asked = parsed(request, body, NewBridge)
        with said_by_admin(), desks.proving() as pause:
            desk = desks.desk(request, principal, model, api_version, pause)
            endpoint, target, proof = begin_bridge(desk, model, api_version, asked.to)
        entry = tagged(response, endpoint_entry(endpoint, parts.now()))
        return BridgedEndpoint(**entry.model_dump(), proof=proof_entry(proof, f"{model} {target.stable_version}"))

    @router.post(
        f"{ONE}/unbridge",
        summary="Let an endpoint be served by its own model again",
        operation_id="admin_unbridge",
        **changes(404, 409, body=BridgeEnd, optional=True),
    )
    @parts.limited
    def unbridge(
        request: Request, response: Response, principal: AdminWriter, model: ModelPath, api_version: OneVersion, body: Body
    ) -> EndpointEntry:
        asked = parsed(request, body, BridgeEnd, optional=True)
        with said_by_admin(), desks.proving() as pause:
            desk = desks.desk(request, principal, model, api_version, pause)
            endpoint = end_bridge(desk, model, api_version, asked.version)
        return tagged(response, endpoint_entry(endpoint, parts.now()))

    return router


def proof_entry(proof: UpgradeProof, new: str) -> BridgeProof:
    """A proof by the list of fields."""
    gaps = [ProofGap(**gap_facts(gap)) for gap in proof.proof.gaps]
    return BridgeProof(old=proof.old, new=new, rows=proof.proof.rows, gaps=gaps)
