"""What every route needs of a request: the process's Cloud and where the request came from."""

from __future__ import annotations

import ipaddress

from starlette.requests import HTTPConnection

from cloud_api.kit.cloud import Cloud


def cloud_of(request: HTTPConnection) -> Cloud:
    """The Cloud of the app that serves ``request``."""
    cloud = request.app.state.cloud
    assert isinstance(cloud, Cloud)
    return cloud


def client_ip(request: HTTPConnection) -> str:
    """The caller's address, counted back over as many proxies as the settings trust; else ``""``.

    What a client writes into X-Forwarded-For itself stands left of what the proxies add, so it is
    never reached. Something that is no address counts as none.
    """
    trusted = cloud_of(request).settings.trusted_proxies
    found = request.client.host if request.client else ""
    if trusted > 0:
        hops = [hop.strip() for hop in request.headers.get("x-forwarded-for", "").split(",")]
        if len(hops) >= trusted and hops[-trusted]:
            found = hops[-trusted]
    try:
        return str(ipaddress.ip_address(found))
    except ValueError:
        return ""
