"""What the code runs on: cores, processor, versions of the packages, commit of the checkout."""

import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path

PACKAGES = ("tensorflow", "keras", "numpy", "scikit-learn")


def cores():
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def available_memory():
    """Bytes of memory that are available; 8 GiB if unknown."""
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass  # not Linux
    return 8 * 2**30


def versions(*more):
    """Versions of Python, the packages that decide the numbers, and `more`: str by name."""
    packages = {name: importlib.metadata.version(name) for name in (*PACKAGES, *more)}
    return {"python": platform.python_version(), **packages}


def hardware():
    """The machine in words: dict of "processor", "cores" that may be used, and "gpus"."""
    import tensorflow as tf

    processor = platform.processor() or platform.machine()
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                processor = line.split(":", 1)[1].strip()
                break
    except OSError:
        pass  # not Linux: what the platform module says
    devices = tf.config.list_physical_devices("GPU")
    details = [tf.config.experimental.get_device_details(d).get("device_name") for d in devices]
    return {"processor": processor, "cores": cores(), "gpus": details}


def commit():
    """The commit of the checkout that this package runs from, or None outside one.

    A trailing "+" says that tracked files differ from it. For a copy without its repository, set
    the environment variable ALAD_COMMIT.
    """
    if told := os.environ.get("ALAD_COMMIT"):
        return told
    folder = Path(__file__).resolve().parent
    try:
        revision = _git(folder, "rev-parse", "--short=12", "HEAD")
        changed = _git(folder, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.CalledProcessError):
        return None
    return revision + ("+" if changed else "")


def _git(folder, *arguments):
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
