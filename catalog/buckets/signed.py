"""The steps of a check that need no keys: what engines and browsers do with signed addresses."""

from __future__ import annotations

from catalog.buckets.objects import asked, only_readable
from catalog.buckets.probe import Probe
from catalog.buckets.report import Failed, Skipped, StepEnded, Warned

VALID_SECONDS = 60
OK = frozenset({200, 206})


def presign_get(probe: Probe) -> str:
    """Read by a signed address, as engines do, and by one that was tampered with."""
    only_readable(probe)
    url = _signed(probe)
    answer = probe.ask("GET", url, {"Range": "bytes=0-3"})
    if answer.status not in OK:
        raise Failed(
            f"The signed address is answered {answer.status}.",
            "Engines read by signed addresses. A proxy before the storage may change the host's"
            " name or the query; a bucket policy may refuse requests that are signed so.",
            probe.documents.access_policy(),
        )
    if probe.ask("GET", _tampered(url)).status in OK:
        raise Failed(
            "The storage answers addresses with a wrong signature too.",
            "Everybody can read this bucket: switch its authentication on.",
        )
    return "A signed address is read, a tampered one refused."


def presign_head(probe: Probe) -> str:
    """Use the address that was signed for GET with HEAD: that must be refused."""
    only_readable(probe)
    status = probe.ask("HEAD", _signed(probe)).status
    if status in OK:
        raise Warned(
            "An address signed for GET is answered to HEAD as well.",
            "Harmless for reads; but the storage does not check what the signature is for.",
        )
    return f"HEAD with the signature of a GET is refused ({status})."


def public_endpoint(probe: Probe) -> str:
    """Read by the address that devices and browsers get, where it differs."""
    if probe.bucket.public_endpoint in {"", probe.bucket.endpoint}:
        raise Skipped("Devices and browsers use the same endpoint.")
    only_readable(probe)
    hint = "Devices may reach it where the server cannot; if not, correct the public endpoint."
    try:
        status = probe.ask("GET", _signed(probe, public=True), {"Range": "bytes=0-3"}).status
    except StepEnded as ended:
        raise Warned(ended.finding.found, hint) from ended
    if status not in OK:
        raise Warned(f"The public endpoint answers {status} to a signed address.", hint)
    return "A signed address of the public endpoint is read."


def cors(probe: Probe) -> str:
    """Ask as a browser would before the console's engine reads ranges."""
    key = probe.readable or f"{probe.inside}object"
    url = _signed(probe, key, public=True)
    asks = {
        "Origin": probe.origin,
        "Access-Control-Request-Method": "GET",
        "Access-Control-Request-Headers": "range",
    }
    try:
        allowed = probe.ask("OPTIONS", url, asks)
        answered = probe.ask("GET", url, {"Origin": probe.origin, "Range": "bytes=0-0"})
    except StepEnded as ended:
        raise Warned(ended.finding.found, ended.finding.fix) from ended
    if allowed.status not in {200, 204} or not _admits(probe, allowed.headers):
        raise _refused(probe, f"The bucket does not let {probe.origin} read ranges.")
    if answered.status in OK and "content-range" not in _exposed(answered.headers):
        raise _refused(probe, "The bucket hides Content-Range from scripts.")
    return f"{probe.origin} may read ranges."


def _signed(probe: Probe, key: str = "", *, public: bool = False) -> str:
    with asked(probe, "to sign an address"):
        return probe.store.presign(
            key or probe.readable, valid_seconds=VALID_SECONDS, public=public
        )


def _tampered(url: str) -> str:
    head, _, signature = url.rpartition("X-Amz-Signature=")
    return f"{head}X-Amz-Signature={signature[::-1]}"


def _admits(probe: Probe, headers: object) -> bool:
    told = _lowered(headers)
    methods = told.get("access-control-allow-methods", "")
    names = told.get("access-control-allow-headers", "")
    return (
        told.get("access-control-allow-origin", "") in {"*", probe.origin.lower()}
        and ("get" in methods or methods == "*")
        and ("range" in names or names == "*")
    )


def _exposed(headers: object) -> str:
    told = _lowered(headers).get("access-control-expose-headers", "")
    return "content-range" if told == "*" else told


def _lowered(headers: object) -> dict[str, str]:
    return {str(k).lower(): str(v).lower() for k, v in dict(headers).items()}  # type: ignore[call-overload]


def _refused(probe: Probe, found: str) -> Warned:
    return Warned(
        found,
        "Queries in the browser would run on the server instead. Set these CORS rules.",
        probe.documents.cors(),
    )
