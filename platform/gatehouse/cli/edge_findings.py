"""What `gatehouse doctor` finds between partners and this machine: the address that they call, its certificate, and the proxy."""

import http.client
import json
import ssl
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from gatehouse.cli.finding import Finding
from gatehouse.cli.silence import silence_of
from gatehouse.settings import Settings

PROBE_S = 3.0
RENEWED_BEFORE = timedelta(days=14)
"""Caddy and certbot renew a month before the end."""
EXPIRED = 10
"""X509_V_ERR_CERT_HAS_EXPIRED of OpenSSL."""
RENEWED = "renew it"
ANOTHER = "put another one there, for this name and of an authority that callers know: Caddy or certbot get one"


class _NotGatehouse(Exception):
    """Something else answers."""


def proxy_finding(settings: Settings) -> Finding:
    """Whether callers are told apart behind what ends TLS."""
    if settings.trusted_proxies:
        return Finding("proxy", "ok", f"callers are told apart behind {settings.trusted_proxies}")
    detail = "limits by address and the networks of keys see the proxy that ends TLS, not the callers"
    return Finding("proxy", "warning", detail, "GATEHOUSE_TRUSTED_PROXIES=127.0.0.1, or the proxy's address")


def address_finding(settings: Settings, *, served: bool) -> Finding:
    """Whether the address that partners call leads here over TLS. `served`: a server answers on this machine's port."""
    url = settings.public_url.rstrip("/")
    if not url:
        return Finding("address", "warning", f"links and the issuer of tokens say {settings.base_url}", "set GATEHOUSE_PUBLIC_URL")
    if urlsplit(url).scheme != "https":
        return Finding(
            "address", "warning", f"{url} has no TLS: keys can be read on the way", "GATEHOUSE_PUBLIC_URL=https://…, docs/go-live.md"
        )
    if not served:
        return Finding("address", "warning", f"{url} is not looked at while nobody serves here", "start the server, then: gatehouse doctor")
    try:
        ends_at = _certificate_end(url)
    except ssl.SSLCertVerificationError as error:
        detail = f"the certificate of {url} is not good: {error.verify_message}"
        return Finding("address", "problem", detail, f"{RENEWED if error.verify_code == EXPIRED else ANOTHER}, docs/go-live.md")
    except _NotGatehouse:
        return Finding("address", "problem", f"something else than Gatehouse answers at {url}", "lead it to this server, docs/go-live.md")
    except (OSError, http.client.HTTPException) as error:
        detail = f"{url} cannot be reached from here ({silence_of(error)})"
        return Finding("address", "warning", detail, f"look at its name, firewall and proxy: curl {url}/health/live")
    return _good_until(url, ends_at)


def _good_until(url: str, ends_at: datetime) -> Finding:
    if ends_at - datetime.now(UTC) < RENEWED_BEFORE:
        detail = f"the certificate of {url} ends on {ends_at:%Y-%m-%d}, and nobody has renewed it"
        return Finding("address", "warning", detail, "look at what renews it: Caddy's log, or systemctl status certbot.timer")
    return Finding("address", "ok", f"{url} leads here; its certificate is good until {ends_at:%Y-%m-%d}")


def _certificate_end(url: str) -> datetime:
    """Asks the server by its public address. Raises OSError, HTTPException, SSLCertVerificationError, _NotGatehouse."""
    where = urlsplit(url)
    connection = http.client.HTTPSConnection(where.netloc, timeout=PROBE_S, context=ssl.create_default_context())
    try:
        connection.connect()
        certificate = connection.sock.getpeercert() or {}
        connection.request("GET", f"{where.path}/health/live")
        said = connection.getresponse().read(4096)
    finally:
        connection.close()
    if not _is_gatehouse(said):
        raise _NotGatehouse
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(str(certificate["notAfter"])), UTC)


def _is_gatehouse(said: bytes) -> bool:
    try:
        return bool(json.loads(said) == {"status": "ok"})
    except ValueError:
        return False
