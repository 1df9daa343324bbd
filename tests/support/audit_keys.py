"""The key under which tests seal what they change; the command line's tests give it to the commands too."""

from gatehouse.db.audit_keys import AuditKeys

AUDIT_KEY = "Tn6bVx2cMz9qWe4rYu7iOp1aSd5fGh8J"
AUDIT_KEYS = AuditKeys({1: AUDIT_KEY.encode()})
