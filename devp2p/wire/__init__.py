"""The wire formats of devp2p as pure state: bytes in, values and bytes out (sans-IO).

Nothing here reads a socket, a clock or a source of randomness; times and random bytes are arguments.
"""
