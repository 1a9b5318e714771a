"""SSH: the node's key is the host's key and the user's, and each stream of a link is a channel. Needs asyncssh, of the extra ``ssh``."""

from devp2p.transports.ssh.transport import SshTransport

__all__ = ["SshTransport"]
