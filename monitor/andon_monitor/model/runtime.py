"""onnxruntime, or one line that says how to install it: it comes with an extra, `andon[cpu]` or `andon[gpu]`."""

from importlib.metadata import PackageNotFoundError, version

from andon_monitor.errors import InstallationError

BUILDS = ("onnxruntime", "onnxruntime-gpu")


def check_runtime() -> None:
    """Raises InstallationError where onnxruntime is not installed, or both of its builds, which share their files."""
    if all(is_installed(build) for build in BUILDS):
        raise InstallationError(
            "onnxruntime and onnxruntime-gpu are both installed and overwrite each other; "
            f"run pip uninstall {' '.join(BUILDS)}, then pip install 'andon[cpu]' or 'andon[gpu]'"
        )


def is_installed(distribution: str) -> bool:
    """Whether pip has installed a distribution in this environment."""
    try:
        version(distribution)
    except PackageNotFoundError:
        return False
    return True


check_runtime()
try:
    import onnxruntime
except ModuleNotFoundError:
    raise InstallationError(
        "onnxruntime is not installed; run pip install 'andon[cpu]', or 'andon[gpu]' for an NVIDIA GPU"
    ) from None

__all__ = ["check_runtime", "onnxruntime"]
