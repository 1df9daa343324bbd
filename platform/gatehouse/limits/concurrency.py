"""How many calls are under way at once, in all and per tenant."""

from gatehouse.errors import Overloaded


class Concurrency:
    """Counts the calls of one process on one thread. Remembers only tenants that have a call under way."""

    def __init__(self, total: int, per_tenant: int) -> None:
        self._total = total
        self._per_tenant = per_tenant
        self._inside: dict[str, int] = {}
        self._all_inside = 0

    @property
    def all_inside(self) -> int:
        """Calls under way."""
        return self._all_inside

    @property
    def inside(self) -> dict[str, int]:
        """Calls under way by tenant."""
        return dict(self._inside)

    def enter(self, tenant_id: str) -> None:
        """Count a call in; each must `leave` once. Raises Overloaded, and then counts nothing."""
        of_tenant = self._inside.get(tenant_id, 0)
        if of_tenant >= self._per_tenant:
            raise _overloaded(f"Your organisation has {of_tenant} calls under way, which is the most at once.", "tenant_concurrency")
        if self._all_inside >= self._total:
            raise _overloaded("The service has as many calls under way as it takes at once.", "process_concurrency")
        self._inside[tenant_id] = of_tenant + 1
        self._all_inside += 1

    def leave(self, tenant_id: str) -> None:
        """Count a call out."""
        left = self._inside[tenant_id] - 1
        if left:
            self._inside[tenant_id] = left
        else:
            del self._inside[tenant_id]
        self._all_inside -= 1


def _overloaded(detail: str, reason: str) -> Overloaded:
    return Overloaded(f"{detail} Send the call again after 1 s.", reason=reason, headers=[("Retry-After", "1")])
