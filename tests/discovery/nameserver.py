"""A DNS server on a port of 127.0.0.1, over UDP and TCP, that knows a few names."""

import socket
import struct
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

import dns.flags
import dns.message
import dns.rcode
import dns.rdtypes.ANY.TXT
import dns.rrset

UDP_SIZE = 512


def _bound() -> tuple[socket.socket, socket.socket]:
    """A UDP and a TCP socket at one port: the next, where the other half of the first is somebody else's."""
    for last in (False,) * 9 + (True,):
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        udp.bind(("127.0.0.1", 0))
        try:
            return udp, socket.create_server(udp.getsockname())
        except OSError:
            udp.close()
            if last:
                raise
    raise AssertionError


class NameServer:
    """`texts` are TXT records by name, each as the bytes of one text. Other names do not exist, but for those in `without_texts`."""

    def __init__(self, texts: Mapping[str, list[bytes]], without_texts: tuple[str, ...] = ()) -> None:
        self.texts, self.without_texts = texts, without_texts
        self.udp, self.tcp = _bound()
        self.port: int = self.udp.getsockname()[1]
        self.asked: list[str] = []
        self.tcp_queries = 0

    def answer(self, query: bytes, limit: int) -> bytes:
        message = dns.message.from_wire(query)
        response = dns.message.make_response(message)
        response.flags |= dns.flags.RA
        question = message.question[0]
        name = question.name.to_text(omit_final_dot=True)
        self.asked.append(name)
        if name in self.texts:
            records = [
                dns.rdtypes.ANY.TXT.TXT(
                    question.rdclass, question.rdtype, [text[at : at + 255] for at in range(0, len(text), 255)] or [b""]
                )
                for text in self.texts[name]
            ]
            response.answer.append(dns.rrset.from_rdata_list(question.name, 60, records))
        elif name not in self.without_texts:
            response.set_rcode(dns.rcode.NXDOMAIN)
        wire = response.to_wire(max_size=65_535)
        if len(wire) > limit:
            response.answer.clear()
            response.flags |= dns.flags.TC
            wire = response.to_wire()
        return wire

    def serve_udp(self) -> None:
        with suppress(OSError):
            while True:
                query, address = self.udp.recvfrom(4096)
                if not query:
                    return
                self.udp.sendto(self.answer(query, UDP_SIZE), address)

    def serve_tcp(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self.tcp.accept()
                with connection, connection.makefile("rb") as stream:
                    head = stream.read(2)
                    if not head:
                        return
                    self.tcp_queries += 1
                    answer = self.answer(stream.read(*struct.unpack("!H", head)), 65_535)
                    connection.sendall(struct.pack("!H", len(answer)) + answer)

    def stop(self) -> None:
        """Both threads end by something empty."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            udp.sendto(b"", ("127.0.0.1", self.port))
        socket.create_connection(("127.0.0.1", self.port)).close()


@contextmanager
def name_server(texts: Mapping[str, list[bytes]], without_texts: tuple[str, ...] = ()) -> Iterator[NameServer]:
    server = NameServer(texts, without_texts)
    threads = [threading.Thread(target=serve) for serve in (server.serve_udp, server.serve_tcp)]
    with server.udp, server.tcp:
        for thread in threads:
            thread.start()
        try:
            yield server
        finally:
            server.stop()
            for thread in threads:
                thread.join(10)
            assert not any(thread.is_alive() for thread in threads)
