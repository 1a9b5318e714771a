"""A UPnP router on loopback, version 1 or 2, whose faults a test decides: its description, and what it does with mappings."""

import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial

import trio

_SOAP = '<?xml version="1.0"?><s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>{}</s:Body></s:Envelope>'
_FAULT = (
    "<s:Fault><faultcode>s:Client</faultcode><faultstring>UPnPError</faultstring><detail>"
    '<UPnPError xmlns="urn:schemas-upnp-org:control-1-0"><errorCode>{}</errorCode><errorDescription>no</errorDescription></UPnPError>'
    "</detail></s:Fault>"
)


class Igd:
    """What the router has, and how it behaves."""

    def __init__(self, version: int = 1) -> None:
        self.version = version
        self.external = "45.67.0.10"
        self.mapped: dict[tuple[str, int], tuple[str, int, int]] = {}
        """By protocol and external port: our address, port, and the lease in seconds."""
        self.permanent_only = self.forgets = self.hangs = False
        self.taken: set[int] = set()
        self.control = "/control"

    def description(self, port: int) -> str:
        service = f"urn:schemas-upnp-org:service:WANIPConnection:{self.version}"

        def device(kind: str, inner: str) -> str:
            return f"<device><deviceType>urn:schemas-upnp-org:device:{kind}:{self.version}</deviceType>{inner}</device>"

        inner = f"<serviceList><service><serviceType>{service}</serviceType><controlURL>{self.control}</controlURL>"
        inner += "<eventSubURL>/e</eventSubURL><SCPDURL>/s.xml</SCPDURL></service></serviceList>"
        wan = device("WANDevice", f"<deviceList>{device('WANConnectionDevice', inner)}</deviceList>")
        root = device("InternetGatewayDevice", f"<deviceList>{wan}</deviceList>")
        return (
            f'<?xml version="1.0"?><root xmlns="urn:schemas-upnp-org:device-1-0"><URLBase>http://127.0.0.1:{port}/</URLBase>{root}</root>'
        )

    def act(self, action: str, given: dict[str, str]) -> str | int:
        """The arguments of an answer as XML, or the number of an error."""
        protocol, port = given.get("NewProtocol", ""), int(given.get("NewExternalPort", 0))
        if action == "GetStatusInfo":
            return "<NewConnectionStatus>Connected</NewConnectionStatus><NewUptime>1</NewUptime>"
        if action == "GetExternalIPAddress":
            return f"<NewExternalIPAddress>{self.external}</NewExternalIPAddress>"
        if action == "AddPortMapping":
            if port in self.taken:
                return 718
            if self.permanent_only and int(given["NewLeaseDuration"]):
                return 725
            if not self.forgets:
                self.mapped[protocol, port] = given["NewInternalClient"], int(given["NewInternalPort"]), int(given["NewLeaseDuration"])
            return ""
        if action == "GetSpecificPortMappingEntry":
            if (protocol, port) not in self.mapped:
                return 714
            client, internal, lease = self.mapped[protocol, port]
            return (
                f"<NewInternalPort>{internal}</NewInternalPort><NewInternalClient>{client}</NewInternalClient><NewEnabled>1</NewEnabled>"
                f"<NewPortMappingDescription>x</NewPortMappingDescription><NewLeaseDuration>{lease}</NewLeaseDuration>"
            )
        if action == "DeletePortMapping":
            return "" if self.mapped.pop((protocol, port), None) else 714
        return 401

    async def answer(self, port: int, stream: trio.SocketStream) -> None:
        async with stream:
            request = b""
            while b"\r\n\r\n" not in request:
                request += (data := await stream.receive_some(4096))
                if not data:
                    return
            head, _, body = request.partition(b"\r\n\r\n")
            length = int(found[1]) if (found := re.search(rb"(?i)content-length: (\d+)", head)) else 0
            while len(body) < length:
                body += await stream.receive_some(4096)
            if self.hangs:
                await trio.sleep_forever()
            status, text = "200 OK", self.description(port)
            if head.startswith(b"POST"):
                action = re.search(r'(?i)soapaction: "?[^#]+#(\w+)', head.decode())
                assert action is not None
                done = self.act(action[1], dict(re.findall(r"<(New\w+)>([^<]*)</", body.decode())))
                status = "200 OK" if isinstance(done, str) else "500 Internal Server Error"
                inner = (
                    f'<u:{action[1]}Response xmlns:u="x">{done}</u:{action[1]}Response>' if isinstance(done, str) else _FAULT.format(done)
                )
                text = _SOAP.format(inner)
            await stream.send_all(f"HTTP/1.1 {status}\r\nContent-Length: {len(text)}\r\nConnection: close\r\n\r\n{text}".encode())


@asynccontextmanager
async def serving_igd(igd: Igd) -> AsyncGenerator[str]:
    """Serve it; the URL of its description."""
    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        port = listener.socket.getsockname()[1]
        nursery.start_soon(partial(trio.serve_listeners, partial(igd.answer, port), [listener]))
        yield f"http://127.0.0.1:{port}/root.xml"
        nursery.cancel_scope.cancel()
