"""SCTP in DTLS in UDP, in userland: ``sctp://``. docs/spec/sctp.md says what is on the wire.

Nothing is imported here: `transport` needs aiortc, which not everybody has, and `streams` and `vetting` do not.
"""
