"""The version of the library, and the name that it goes by."""

import sys

__version__ = "0.1.0.dev0"


def default_client_id() -> str:
    """What we call ourselves in Hello unless told otherwise."""
    return f"devp2p.py/v{__version__}/{sys.platform}/python{sys.version_info.major}.{sys.version_info.minor}"
