"""The version of this library, as Hello and ``devp2p --version`` say it."""

__version__ = "0.1.0.dev0"
