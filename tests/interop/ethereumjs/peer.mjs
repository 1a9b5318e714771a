// SPDX-License-Identifier: MIT
/*
 * Interop witness: one RLPx peer on the npm package @ethereumjs/devp2p, driven by JSON lines.
 *
 *   node peer.mjs [--key HEX] [--listen 127.0.0.1:0] [--protocols echo/1:8[,name/version:length...]] [--max-peers N]
 *
 * One JSON object per line: commands on stdin, events on stdout; stderr carries nothing but usage errors. Hexadecimal text has no 0x
 * prefix. `pubkey` is the 64-byte public key, `id` its keccak-256. Loopback addresses only, and no discovery of any kind.
 *
 * Every protocol named by --protocols speaks the same messages (payload = message data after the code, uncompressed):
 *
 *   0 echo      any payload           answered by 1 with the same payload
 *   1 echoed    any payload           reported
 *   2 request   [id, bytes]           answered by 3 [id, sha256(bytes)]
 *   3 response  [id, digest]          reported
 *   4 sink      any payload           reported
 *   5..         any payload           reported
 *
 * Commands (`pubkey` and `protocol` narrow a command to one peer or protocol; the default is all)
 *
 *   {"cmd":"connect","enode":"enode://..@127.0.0.1:port"}
 *   {"cmd":"send","code":4,"size":n,"kind":"random"|"zeros","rlp":false,"pubkey":..,"protocol":..}     size: bytes of payload
 *   {"cmd":"send","code":2,"data":"hex",..}                    "rlp":true wraps the bytes into one RLP string first
 *   {"cmd":"disconnect","reason":8,"pubkey":..}                default reason 0
 *   {"cmd":"quit"}                                             as the end of stdin does
 *
 * Events
 *
 *   {"event":"listening","enode":..,"id":..,"pubkey":..,"port":n}                 always the first line
 *   {"event":"peer","pubkey":..,"id":..,"name":..,"inbound":bool,"p2p":5,"capabilities":["echo/1"],"protocol":"echo","version":1}
 *                                                                                 both Hellos exchanged; one line for each shared protocol
 *   {"event":"message","pubkey":..,"protocol":..,"code":n,"size":n,"sha256":..,"data":hex}       data: payloads up to 1024 bytes only
 *   {"event":"sent","pubkey":..,"protocol":..,"code":n,"size":n,"sha256":..,"frame":n}            frame: size of the frame data
 *   {"event":"end","pubkey":..|null,"inbound":bool,"reason":n|null,"by":"local"|"remote"|null,"established":bool}
 *                                                                                 the socket is closed; once for each connection
 *   {"event":"error","error":text,"pubkey":..|absent}
 *
 * Where the package needs help, and why:
 *
 * - No discovery table is given to RLPx: without one it only accepts and dials what it is told to.
 * - Hello carries port 0 (`listenPort` null): the port is not known when RLPx is made, and 0 given as a number would go out as the byte 00,
 *   which is no canonical RLP integer.
 * - The base class Protocol is not exported; it is reached through SNAP.
 * - Protocol is written for eth: unless its status timer is cancelled, it disconnects five seconds after Hello.
 * - Compression of protocol messages is left to the protocol class on the way out, but done by Peer on the way in.
 * - Peer tells nobody that a connection ended unless Hello succeeded. Peer._onSocketClose is therefore observed.
 */

import { createHash, randomBytes } from 'node:crypto'
import { isIPv6 } from 'node:net'
import { createInterface } from 'node:readline'
import { parseArgs } from 'node:util'

import { Common, Mainnet } from '@ethereumjs/common'
import { DISCONNECT_REASON, Peer, RLPx, SNAP } from '@ethereumjs/devp2p'
import { RLP } from '@ethereumjs/rlp'
import { keccak256 } from 'ethereum-cryptography/keccak.js'
import snappy from 'snappyjs'

const Protocol = Object.getPrototypeOf(SNAP)

const ECHO = 0
const ECHOED = 1
const REQUEST = 2
const RESPONSE = 3
const SHOWN_BYTES = 1024
const MAX_FRAME_DATA = 0xffffff // a frame header has three bytes for the size, and the package does not check
const QUIT_MILLISECONDS = 1000

const hex = (bytes) => Buffer.from(bytes).toString('hex')
const sha256 = (bytes) => createHash('sha256').update(bytes).digest()
const text = (error) => String(error?.message ?? error)
const emit = (event, fields = {}) => process.stdout.write(`${JSON.stringify({ event, ...fields })}\n`)

function unhex(text, what) {
  if (typeof text !== 'string' || !/^([0-9a-f]{2})*$/i.test(text)) throw new Error(`${what} is not hexadecimal`)
  return Uint8Array.from(Buffer.from(text, 'hex'))
}

function loopback(host) {
  const bare = host.replace(/^\[|\]$/g, '')
  if (bare !== '::1' && !/^127(\.\d{1,3}){3}$/.test(bare)) throw new Error(`${host} is not a loopback address`)
  return bare
}

function parseProtocols(text) {
  return text.split(',').map((item) => {
    const match = /^([a-z0-9]{1,8})\/(\d+):(\d+)$/.exec(item)
    if (match === null) throw new Error(`--protocols: ${item} is not name/version:length`)
    const [name, version, length] = [match[1], Number(match[2]), Number(match[3])]
    return { name, version, length, constructor: witnessProtocol(name, length) }
  })
}

function parseEnode(text) {
  const match = /^enode:\/\/([0-9a-f]{128})@(\[[0-9a-f:]+\]|[0-9.]+):(\d{1,5})(\?.*)?$/i.exec(text)
  if (match === null) throw new Error('enode is not enode://<128 hex>@<address>:<port>')
  return { id: unhex(match[1], 'enode'), address: loopback(match[2]), tcpPort: Number(match[3]) }
}

const remotePubkey = (peer) => {
  const key = peer.getId()
  return key ? hex(key) : null
}

/** The protocol class of one capability: the package makes an instance of it for each peer that shares the capability. */
function witnessProtocol(name, length) {
  return class WitnessProtocol extends Protocol {
    constructor(version, peer, send) {
      super(peer, send, name, version, {})
      clearTimeout(this._statusTimeoutId)
      this.name = name
      this.version = version
    }

    _handleMessage(code, payload) {
      if (code === ECHO) {
        this.sendPayload(ECHOED, payload)
      } else if (code === REQUEST) {
        const [id, bytes] = RLP.decode(payload)
        this.sendPayload(RESPONSE, RLP.encode([id, sha256(bytes)]))
      } else {
        emit('message', { ...this.describe(code, payload), ...(payload.length <= SHOWN_BYTES && { data: hex(payload) }) })
      }
    }

    /** Sends `payload` under `code`; returns the size of the frame data. */
    sendPayload(code, payload) {
      if (code >= length) throw new Error(`${name} has ${length} codes, ${code} is not one of them`) // the package lets code == length pass
      const data = this._peer.getHelloMessage().protocolVersion >= 5 ? snappy.compress(payload) : payload
      if (data.length + 1 > MAX_FRAME_DATA) throw new Error(`message of ${data.length + 1} bytes does not fit into one frame`)
      this._send(code, data)
      return data.length + 1
    }

    describe(code, payload) {
      return { pubkey: remotePubkey(this._peer), protocol: name, code, size: payload.length, sha256: hex(sha256(payload)) }
    }
  }
}

/** Reports the end of every connection, also of those that never came to Hello. `openPeers` holds the peers with both Hellos exchanged. */
function observeEnds(openPeers) {
  const original = Peer.prototype._onSocketClose
  Peer.prototype._onSocketClose = function (...args) {
    const established = openPeers.has(this)
    openPeers.delete(this)
    original.apply(this, args)
    const by = this._disconnectWe === null ? null : this._disconnectWe ? 'local' : 'remote'
    emit('end', { pubkey: remotePubkey(this), inbound: isInbound(this), reason: this._disconnectReason ?? null, by, established })
  }
}

const inboundSockets = new WeakSet()
const isInbound = (peer) => inboundSockets.has(peer._socket)

function makePayload({ data, size, kind = 'random', rlp = false }) {
  if (data === undefined && !(Number.isSafeInteger(size) && size >= 0)) throw new Error('send needs "data" or "size"')
  if (kind !== 'random' && kind !== 'zeros') throw new Error(`kind ${kind} is neither random nor zeros`)
  const bytes = data !== undefined ? unhex(data, 'data') : Uint8Array.from(kind === 'zeros' ? Buffer.alloc(size) : randomBytes(size))
  return rlp ? RLP.encode(bytes) : bytes
}

class Witness {
  constructor({ key, host, port, protocols, maxPeers }) {
    this.host = host
    this.port = port
    this.openPeers = new Set()
    this.quitting = false
    observeEnds(this.openPeers)
    this.rlpx = new RLPx(key, { capabilities: protocols, common: new Common({ chain: Mainnet }), dpt: null, listenPort: null, maxPeers })
    this.rlpx._server.prependListener('connection', (socket) => inboundSockets.add(socket)) // before RLPx makes its Peer
    this.rlpx.events.on('error', (error) => this.fail(error))
    this.rlpx.events.on('peer:error', (peer, error) => emit('error', { error: text(error), pubkey: remotePubkey(peer) }))
    this.rlpx.events.on('peer:added', (peer) => this.added(peer))
    this.rlpx.events.once('listening', () => this.listening())
  }

  start() {
    this.rlpx.listen(this.port, this.host)
  }

  fail(error) {
    emit('error', { error: text(error) })
    process.exit(1)
  }

  listening() {
    const { port } = this.rlpx._server.address()
    const pubkey = hex(this.rlpx.id)
    const host = isIPv6(this.host) ? `[${this.host}]` : this.host
    emit('listening', { enode: `enode://${pubkey}@${host}:${port}`, id: hex(keccak256(this.rlpx.id)), pubkey, port })
    const lines = createInterface({ input: process.stdin, crlfDelay: Infinity })
    lines.on('line', (line) => this.command(line))
    lines.once('close', () => this.quit())
  }

  added(peer) {
    this.openPeers.add(peer)
    const hello = peer.getHelloMessage()
    const about = {
      pubkey: remotePubkey(peer),
      id: hex(keccak256(peer.getId())),
      name: hello.clientId,
      inbound: isInbound(peer),
      p2p: hello.protocolVersion,
      capabilities: hello.capabilities.map((item) => `${item.name}/${item.version}`),
    }
    for (const { name, version } of peer.getProtocols()) emit('peer', { ...about, protocol: name, version })
  }

  command(line) {
    if (line.trim() === '') return
    try {
      const command = JSON.parse(line)
      const run = { connect: this.connect, send: this.send, disconnect: this.disconnect, quit: this.quit }[command.cmd]
      if (run === undefined) throw new Error(`unknown command ${command.cmd}`)
      run.call(this, command)
    } catch (error) {
      emit('error', { error: error.message })
    }
  }

  connect({ enode }) {
    this.rlpx.connect(parseEnode(enode)).catch((error) => emit('error', { error: `connect: ${error.message}` }))
  }

  select(pubkey) {
    const peers = [...this.openPeers].filter((peer) => pubkey === undefined || remotePubkey(peer) === pubkey.toLowerCase())
    if (peers.length === 0) throw new Error('no such peer')
    return peers
  }

  send({ code, pubkey, protocol, ...what }) {
    const all = this.select(pubkey).flatMap((peer) => peer.getProtocols())
    const targets = all.filter(({ name }) => protocol === undefined || name === protocol)
    if (targets.length === 0) throw new Error('no such protocol')
    if (!Number.isInteger(code) || code < 0) throw new Error('code is not an unsigned integer')
    for (const target of targets) {
      const payload = makePayload(what)
      const frame = target.sendPayload(code, payload)
      emit('sent', { ...target.describe(code, payload), frame })
    }
  }

  disconnect({ reason = 0, pubkey }) {
    for (const peer of this.select(pubkey)) peer.disconnect(reason)
  }

  /**
   * Sends Disconnect with reason 8 to every peer. RLPx.destroy would do it too, but forgets a peer once a second connection from the same
   * key was refused, and keeps every socket for two seconds.
   */
  quit() {
    if (this.quitting) return
    this.quitting = true
    for (const peer of this.openPeers) {
      peer.disconnect(DISCONNECT_REASON.CLIENT_QUITTING)
      peer._socket.end()
    }
    this.rlpx.destroy(() => process.exit(0))
    setTimeout(() => process.exit(0), QUIT_MILLISECONDS)
  }
}

function main() {
  const { values } = parseArgs({
    options: {
      key: { type: 'string' },
      listen: { type: 'string', default: '127.0.0.1:0' },
      protocols: { type: 'string', default: 'echo/1:8' },
      'max-peers': { type: 'string', default: '10' },
    },
  })
  const key = values.key === undefined ? Uint8Array.from(randomBytes(32)) : unhex(values.key, '--key')
  const listen = /^(.+):(\d{1,5})$/.exec(values.listen)
  if (listen === null) throw new Error(`--listen: ${values.listen} is not address:port`)
  const maxPeers = Number(values['max-peers'])
  if (!Number.isSafeInteger(maxPeers) || maxPeers < 0) throw new Error(`--max-peers: ${values['max-peers']} is not an unsigned integer`)
  new Witness({ key, host: loopback(listen[1]), port: Number(listen[2]), protocols: parseProtocols(values.protocols), maxPeers }).start()
}

process.on('uncaughtException', (error) => {
  emit('error', { error: `uncaught: ${error.stack}` })
  process.exit(1)
})

try {
  main()
} catch (error) {
  process.stderr.write(`peer.mjs: ${error.message}\n`)
  process.exit(2)
}
