"""Who is calling: what one process holds of it."""

from collections.abc import Callable, Iterable
from functools import partial

from gatehouse.api.login import LoginParts
from gatehouse.composition.clocks import monotonic_us
from gatehouse.db.revision import EVERYTHING, Change
from gatehouse.db.session import Database
from gatehouse.errors import CredentialInvalid, CredentialMalformed
from gatehouse.identity.key_store import StoredKey, StoredSecrets, find_key, find_secrets
from gatehouse.identity.keyring import TokenKeyring
from gatehouse.identity.login_trail import LoginTrail
from gatehouse.identity.logins import Logins
from gatehouse.identity.passwords import Passwords
from gatehouse.identity.peppers import Peppers
from gatehouse.identity.person_store import StoredPerson, find_person
from gatehouse.identity.proof import SecretWrong
from gatehouse.identity.revocation import is_revoked, revoke_token
from gatehouse.identity.sealing import Seal
from gatehouse.identity.service import Authenticator
from gatehouse.identity.token_keys import load_token_keys, read_token_keys
from gatehouse.identity.uses import KeyUses
from gatehouse.limits.failed_credentials import FailedCredentials
from gatehouse.limits.failed_logins import FailedLogins
from gatehouse.limits.rate import MemoryRates
from gatehouse.limits.wrong_secrets import WrongSecrets
from gatehouse.principal import Verified
from gatehouse.settings import Settings


class Identity:
    """Credentials, the keys that tokens are signed by, and who fails to prove one."""

    def __init__(self, settings: Settings, database: Database, live_processes: Callable[[], int]) -> None:
        """Raises TokenKeyUnreadable, and what a database that is gone raises."""
        self._database = database
        self.seal = Seal(*settings.secret_keys)
        keys = load_token_keys(database, self.seal)
        self.token_keys = TokenKeyring(partial(read_token_keys, database), self.seal, settings.base_url, keys)
        self.peppers = Peppers(settings.key_peppers)
        self.uses = KeyUses(database)
        self.authenticator = Authenticator(
            self._find_secrets,
            self._find_key,
            self._find_person,
            self.peppers,
            self.token_keys,
            partial(is_revoked, database),
            self.uses,
            stale_after_s=settings.stale_identity_s,
        )
        self.failures = FailedCredentials(MemoryRates(monotonic_us), settings.failed_credentials_per_minute, live_processes)
        self.wrong_secrets = WrongSecrets()
        self.failed_logins = FailedLogins(MemoryRates(monotonic_us), live_processes)
        self.logins = Logins(database, Passwords(), self.peppers, LoginTrail(database))

    def prove(self, text: str, address: str) -> Verified:
        """Look a credential up, and count one that is wrong. May block. Raises what `Prover.prove` raises, and TooManyFailures."""
        self.failures.check(address)  # right before the look-up: of a thousand guesses at once, those that waited find the limit reached
        try:
            return self.authenticator.look_up(text, address)
        except (CredentialInvalid, CredentialMalformed) as refusal:
            self.failures.count(address)
            if isinstance(refusal, SecretWrong):
                self.wrong_secrets.count(refusal.key_id, address, exists=refusal.exists)
            raise

    def login_parts(self) -> LoginParts:
        """What logging in needs."""
        return LoginParts(
            logins=self.logins,
            failures=self.failed_logins,
            signer=self.token_keys.signer,
            verify=self.token_keys.verify,
            revoke=partial(revoke_token, self._database),
        )

    def forget(self, changes: Iterable[Change]) -> None:
        """On the event loop: drop what has changed, after which all of it up to now has been seen."""
        changes = list(changes)
        if any(change == EVERYTHING or change.kind == "token_key" for change in changes):
            self.token_keys.outdate()  # first: whoever is proven anew is proven by the new ones
        self.authenticator.forget(changes)
        self.authenticator.confirm()

    def _find_secrets(self, key_id: str) -> StoredSecrets | None:
        with self._database.read() as session:
            return find_secrets(session, key_id)

    def _find_key(self, key_id: str) -> StoredKey | None:
        with self._database.read() as session:
            return find_key(session, key_id)

    def _find_person(self, person_id: str) -> StoredPerson | None:
        with self._database.read() as session:
            return find_person(session, person_id)
