// A relay between TCP and WebSocket, on npm's ws: bytes in, bytes out. As `serve` it listens for WebSockets, and opens a TCP connection for
// each; as `dial` it listens for TCP, and opens a WebSocket for each. What is relayed it does not understand.
//
//   node relay.mjs serve|dial --to HOST:PORT|URL [--host HOST] [--certificate FILE --key FILE] [--authority FILE] [--frame BYTES]
//
// `--certificate` and `--key` make `serve` one of wss; `--authority` is whom `dial` trusts, and `--frame` cuts what it sends into messages of
// so many bytes. It pings once a WebSocket is open. It ends at the end of its input. Events are lines of JSON on stdout: `listening`, with
// `port`; `open`, with `protocol` and `extensions`; `pong`; `closed`, with `code`, `messages` and the size of the `largest`; `failed`.

import { readFileSync } from "node:fs";
import { createServer as createHttp } from "node:http";
import { createServer as createHttps } from "node:https";
import { connect, createServer as createTcp } from "node:net";
import { Transform, pipeline } from "node:stream";
import { parseArgs } from "node:util";
import { WebSocket, WebSocketServer, createWebSocketStream } from "ws";

const PROTOCOL = "devp2p.1";
const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: Object.fromEntries(["to", "host", "certificate", "key", "authority", "frame"].map((name) => [name, { type: "string" }])),
});
const { to, host = "127.0.0.1", certificate, key, authority, frame } = values;
const report = (event, fields = {}) => console.log(JSON.stringify({ event, ...fields }));

// Cuts a stream into pieces of a size, each of which becomes a message.
const cutter = (size) =>
  new Transform({
    readableHighWaterMark: 1,
    transform(chunk, _, done) {
      for (let at = 0; at < chunk.length; at += size) this.push(chunk.subarray(at, at + size));
      done();
    },
  });

function relay(socket, tcp) {
  let messages = 0;
  let largest = 0;
  socket.on("message", (data) => {
    messages += 1;
    largest = Math.max(largest, data.length);
  });
  socket.on("pong", () => report("pong"));
  socket.on("error", (error) => report("failed", { error: error.message }));
  socket.on("close", (code) => report("closed", { code, messages, largest }));
  const stream = createWebSocketStream(socket);
  const opened = () => {
    report("open", { protocol: socket.protocol, extensions: socket.extensions });
    socket.ping("there?");
  };
  if (socket.readyState === WebSocket.OPEN) opened();
  else socket.on("open", opened);
  pipeline(stream, tcp, () => {});
  pipeline(frame ? [tcp, cutter(Number(frame)), stream] : [tcp, stream], () => {});
}

function target() {
  const [, name, port] = /^\[?(.+?)\]?:(\d+)$/.exec(to);
  return { host: name, port: Number(port), allowHalfOpen: true };
}

let server;
if (positionals[0] === "serve") {
  server = certificate ? createHttps({ cert: readFileSync(certificate), key: readFileSync(key) }) : createHttp();
  new WebSocketServer({ server, perMessageDeflate: true, handleProtocols: (offered) => offered.has(PROTOCOL) && PROTOCOL })
    .on("connection", (socket) => relay(socket, connect(target())));
} else {
  server = createTcp({ allowHalfOpen: true }, (tcp) => {
    const ca = authority && readFileSync(authority);
    relay(new WebSocket(to, [PROTOCOL], { perMessageDeflate: true, ca }), tcp);
  });
}
server.listen(0, host, () => report("listening", { port: server.address().port }));
process.stdin.resume().on("end", () => process.exit(0));
