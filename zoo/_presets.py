"""Presets: pretrained detectors by entry and variant, found, verified, and downloaded if necessary.

`registry.json` lists every preset with the sha256 of each of its files. Small ones are part of the
package; the others are downloaded once, into Keras's folder, and verified before they are used.
"""

import errno
import http.client
import os
import urllib.request
from pathlib import Path

from alad_tf.engine.files import damaged, read_json, replacing_folder

HERE = Path(__file__).resolve().parent
REGISTRY, BUNDLED = HERE / "registry.json", HERE / "weights"
BASE_ENV = "ALAD_ZOO_URL"
TIMEOUT_S = 60.0  # of a server that does not answer
DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO)


def registry():
    """The presets: `{"release": url or None, "presets": {entry: {variant: {file: sha256}}}}`."""
    return read_json(REGISTRY)


def variants(entry):
    """The names of an entry's pretrained variants.

    Args:
        entry: str, an entry's name.

    Returns:
        sorted list of str: "default" for tables, "class0" to "class9" for images.

    Example:
        >>> variants("breast_cancer_alad")
        ['default']
    """
    return sorted(registry()["presets"].get(entry, {}))


def cache_folder(entry, variant):
    """The folder of a downloaded preset: `~/.keras/models/alad_zoo/<entry>/<variant>`.

    Keras's own variable, `KERAS_HOME`, takes the place of `~/.keras`.
    """
    home = Path(os.environ.get("KERAS_HOME") or "~/.keras").expanduser()
    return home / "models" / "alad_zoo" / entry / variant


def find(entry, variant):
    """The folder of a preset of the registry, verified: bundled, cached, or downloaded now.

    Raises:
        ValueError: if a bundled file is damaged, or a downloaded one is not the registry's.
        ConnectionError: if the download fails.
        OSError: if the disk is full, or not writable.
    """
    listed = registry()
    files = listed["presets"][entry][variant]
    bundled = BUNDLED / entry / variant
    if bundled.is_dir():
        wrong = damaged(bundled, files)
        if wrong:
            raise ValueError(
                f"The bundled preset {bundled} is damaged: {wrong}. Reinstall the package."
            )
        return bundled
    cached = cache_folder(entry, variant)
    wrong = damaged(cached, files)
    if not wrong:
        return cached
    base = os.environ.get(BASE_ENV) or listed["release"]
    if not base:
        raise ConnectionError(
            f"The preset {entry}/{variant} is neither in the package nor in {cached} "
            f"({wrong}), and there is no address to download it from. Set {BASE_ENV} to an "
            "address that has it (http://, https:// or file://)."
        )
    _download(f"{base.rstrip('/')}/{entry}/{variant}", files, cached)
    return cached


def _download(base, files, folder):
    """Fetch all files beside `folder`, verify them, and only then put them in its place."""
    # what is in the cache under a preset's names is this program's, damaged or not
    with replacing_folder(folder, lambda _: set(files)) as temporary:
        for name, expected in files.items():
            address = f"{base}/{name}"
            try:
                with urllib.request.urlopen(address, timeout=TIMEOUT_S) as response:
                    content = response.read()
            except (OSError, ValueError, http.client.HTTPException) as error:
                raise ConnectionError(
                    f"{address} could not be downloaded: {error}. Check the connection and "
                    f"{BASE_ENV}, or copy the preset's files to {folder}, which is unchanged."
                ) from error
            try:
                (temporary / name).write_bytes(content)
            except OSError as error:
                if error.errno not in DISK_ERRORS:
                    raise
                raise OSError(
                    error.errno,
                    f"{error.strerror}, while {address} was being saved below {folder.parent}. "
                    "Nothing was changed there. Free some space, or set KERAS_HOME to a "
                    "folder on another disk",
                ) from error
            wrong = damaged(temporary, {name: expected})
            if wrong:
                raise ValueError(
                    f"{address} is not the file that this version expects: {wrong}. It was "
                    "cut off or changed during the download, or belongs to another version. "
                    f"{folder} is unchanged. Try again, or set {BASE_ENV} to an address with the "
                    "presets of this version."
                )
