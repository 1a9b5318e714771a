// Command gethbench is go-ethereum's side of tools/bench: the same jobs as
// tools/bench/endpoints does for this project, with the same arguments, done by
// go-ethereum's p2p, p2p/rlpx and p2p/discover packages. The side that listens
// reports {"listening": "enode://..."} first; the side that measures reports one
// JSON line.
package main

import (
	"crypto/ecdsa"
	"crypto/rand"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/p2p/enode"
)

type options struct {
	size    int
	seconds float64
	payload string
	snappy  bool
	target  string
	beside  int
	stall   bool
	flows   string
}

type result map[string]any

var modes = map[string]func(*options) (result, error){
	"rlpx-recv":        rlpxRecv,
	"rlpx-send":        rlpxSend,
	"rlpx-handshake":   rlpxHandshake,
	"api-recv":         apiRecv,
	"api-send":         apiSend,
	"qos-serve":        qosServe,
	"qos-play":         qosPlay,
	"share-recv":       shareRecv,
	"share-send":       shareSend,
	"idle-serve":       idleServe,
	"discv4-encode":    encodeV4,
	"discv4-decode":    decodeV4,
	"discv5-encode":    encodeV5,
	"discv5-decode":    decodeV5,
	"discv5-handshake": handshakeV5,
}

func main() {
	report, err := run(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "gethbench:", err)
		os.Exit(2)
	}
	emit(report)
}

func run(args []string) (result, error) {
	if len(args) == 0 || modes[args[0]] == nil {
		return nil, errors.New("the first argument is a mode, such as rlpx-send")
	}
	var o options
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	flags.IntVar(&o.size, "size", 32, "bytes of payload in a message")
	flags.Float64Var(&o.seconds, "seconds", 0.5, "how long to send or play; with -stall, to wait for a pong")
	flags.StringVar(&o.payload, "payload", "random", "random, or pattern: compressible")
	flags.BoolVar(&o.snappy, "snappy", false, "compress (bare level; the API always does)")
	flags.StringVar(&o.target, "target", "", "enode of the other side; empty: listen")
	flags.IntVar(&o.beside, "beside", 0, "size of the messages to send beside ping-pong; 0: none")
	flags.BoolVar(&o.stall, "stall", false, "never read what is sent beside ping-pong")
	flags.StringVar(&o.flows, "flows", "", "name:size:weight of each capability that floods, comma-separated")
	if err := flags.Parse(args[1:]); err != nil {
		return nil, err
	}
	return modes[args[0]](&o)
}

func (o *options) duration() time.Duration {
	return time.Duration(o.seconds * float64(time.Second))
}

// node is the other side, as --target says.
func (o *options) node() (*enode.Node, error) {
	return enode.Parse(enode.ValidSchemes, o.target)
}

// makePayload gives size bytes, either incompressible or one block over and over.
func makePayload(size int, kind string) []byte {
	const block = 64
	payload := make([]byte, size)
	if kind == "random" {
		rand.Read(payload)
		return payload
	}
	rand.Read(payload[:min(block, size)])
	for at := block; at < size; at *= 2 {
		copy(payload[at:], payload[:at])
	}
	return payload
}

func emit(report result) {
	line, err := json.Marshal(report)
	if err != nil {
		panic(err)
	}
	fmt.Println(string(line))
}

func announce(key *ecdsa.PublicKey, port int) {
	node := enode.NewV4(key, net.IPv4(127, 0, 0, 1), port, 0)
	emit(result{"listening": node.URLv4()})
}

// meter times a stream of messages from the first one after a warm-up to the last.
type meter struct {
	warmUp             time.Duration
	first, begin, last time.Time
	count              int
}

func (m *meter) take() {
	m.last = time.Now()
	switch {
	case m.first.IsZero():
		m.first, m.begin = m.last, m.last
	case m.last.Sub(m.first) < m.warmUp:
		m.begin = m.last
	default:
		m.count++
	}
}

func (m *meter) report() (result, error) {
	if m.count == 0 {
		return nil, errors.New("no message came after the warm-up")
	}
	return result{"messages": m.count, "seconds": m.last.Sub(m.begin).Seconds()}, nil
}

// latch is done once.
type latch struct {
	once sync.Once
	done chan struct{}
}

func newLatch() *latch { return &latch{done: make(chan struct{})} }

func (l *latch) set() { l.once.Do(func() { close(l.done) }) }
