"""Whether a server can be reached: a download that cannot succeed should say so at once."""

import socket
import urllib.parse
import urllib.request

PORTS = {"http": 80, "https": 443}


def require_reachable(url, timeout_s=10.0):
    """Fail at once where an address's server cannot be connected to.

    TensorFlow Datasets tries a download again and again, for more than three minutes, before it
    gives up. Behind a proxy nothing is checked: the proxy does the connecting.

    Args:
        url: str, "http://..." or "https://..."; other kinds are not checked.
        timeout_s: float, seconds to wait for the server.

    Raises:
        ConnectionError: its name is not known, or it does not answer.

    Example:
        >>> require_reachable("file:///data.gz")
    """
    parts = urllib.parse.urlsplit(url)
    if parts.scheme not in PORTS or parts.scheme in urllib.request.getproxies():
        return
    place = (parts.hostname, parts.port or PORTS[parts.scheme])
    try:
        socket.create_connection(place, timeout_s).close()
    except OSError as error:
        raise ConnectionError(f"{parts.hostname} cannot be reached ({error})") from error
