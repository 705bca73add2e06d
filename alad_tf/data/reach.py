"""What a download needs: a server that can be reached, and TensorFlow Datasets that imports."""

import socket
import urllib.parse
import urllib.request
from pathlib import Path

PORTS = {"http": 80, "https": 443}


def require_reachable(url, downloads, timeout_s=10.0):
    """Fail at once where an address's server cannot be connected to.

    TensorFlow Datasets tries a download again and again, for more than three minutes, before it
    gives up. Nothing is checked where it may not need the server: behind a proxy, which does the
    connecting, and where it keeps files of earlier downloads, which may be what is asked for.

    Args:
        url: str, "http://..." or "https://..."; other kinds are not checked.
        downloads: path-like of the folder where TFDS keeps what it downloads.
        timeout_s: float, seconds to wait for the server.

    Raises:
        ConnectionError: its name is not known, or it does not answer.

    Example:
        >>> require_reachable("file:///data.gz", "downloads")
    """
    parts = urllib.parse.urlsplit(url)
    if parts.scheme not in PORTS or parts.scheme in urllib.request.getproxies():
        return
    if any(path.is_file() for path in Path(downloads).rglob("*")):
        return
    place = (parts.hostname, parts.port or PORTS[parts.scheme])
    try:
        socket.create_connection(place, timeout_s).close()
    except OSError as error:
        raise ConnectionError(f"{parts.hostname} cannot be reached ({error})") from error


def no_tfds_error(what, error, otherwise=""):
    """The error where TensorFlow Datasets does not import, with what helps.

    Args:
        what: str, the set that needs it.
        error: the exception that its import raised.
        otherwise: str, what can be done instead, from a semicolon on.

    Returns:
        ImportError.

    Example:
        >>> "pip install" in str(no_tfds_error("cifar10", ImportError("No module")))
        True
    """
    told = str(error).splitlines()[0] if str(error) else type(error).__name__
    remedy = "install it: pip install tensorflow-datasets importlib_resources"
    if "protobuf" in told.lower():  # tensorflow-metadata does not say which protobuf it needs
        remedy = "use an older tensorflow-metadata: pip install 'tensorflow-metadata<1.18'"
    return ImportError(
        f"{what} needs TensorFlow Datasets, which does not import ({told}). To help, "
        f"{remedy}{otherwise}."
    )
