"""One notice of those that were made, and sending it again."""

from sqlmodel import Session

from gatehouse.db.audit import Actor, record_audit
from gatehouse.errors import Refused
from gatehouse.notices import store
from gatehouse.notices.store import Notice
from gatehouse.notices.targets import target_of


def notice_of(session: Session, notice_id: str) -> Notice:
    """Raises Refused."""
    notice = store.find_notice(session, notice_id)
    if notice is None:
        raise Refused(f"no notice {notice_id[:40]!r}: gatehouse notices list")
    return notice


def replay(session: Session, actor: Actor, notice_id: str) -> Notice:
    """Have a notice sent again, with its id and body as before. Raises Refused."""
    notice = notice_of(session, notice_id)
    if target_of(session, notice.tenant_id, notice.tenant).gone:
        fact = f"{notice.tenant}'s target has said that it is gone"
        raise Refused(f"{fact}: gatehouse notice-targets edit {notice.tenant} --url https://…", fact=fact)
    store.send_again(session, notice_id)
    record_audit(session, actor, "notice.replay", notice.tenant, {"notice": notice_id})
    return notice_of(session, notice_id)
