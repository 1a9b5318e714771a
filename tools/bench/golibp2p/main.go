// golibp2p is go-libp2p's side of the benchmarks of transports: the modes and the command line of tools/bench/endpoints/transports.py.
//
// A message is so many bytes of a stream, with nothing around them: both sides know the size.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/muxer/yamux"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	"github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	"github.com/libp2p/go-libp2p/p2p/transport/websocket"
	"github.com/multiformats/go-multiaddr"
)

const (
	protocol = "/bench/1"
	step     = 20 // sessions of a crowd between two reports
)

type result map[string]any

type options struct {
	mode, transport, target string
	size                    int
	seconds                 float64
}

var modes = map[string]func(*options) (result, error){
	"link-recv": receive, "link-send": send,
	"link-pong": pong, "link-ping": ping,
	"link-idle": idle, "link-shake": shake, "link-crowd": crowd,
}

func main() {
	report, err := run(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "golibp2p:", err)
		os.Exit(1)
	}
	emit(report)
}

func run(args []string) (result, error) {
	if len(args) == 0 || modes[args[0]] == nil {
		return nil, errors.New("usage: golibp2p MODE [options], as tools/bench/endpoints/transports.py has them")
	}
	o := &options{mode: args[0]}
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	flags.StringVar(&o.transport, "transport", "tcp", "tcp (Noise, Yamux), quic or ws (Noise, Yamux)")
	flags.StringVar(&o.target, "target", "", "multiaddr of the other side; empty: listen")
	flags.IntVar(&o.size, "size", 32, "bytes of a message; for link-crowd, sessions")
	flags.Float64Var(&o.seconds, "seconds", 0.5, "how long to send or play")
	if err := flags.Parse(args[1:]); err != nil {
		return nil, err
	}
	return modes[o.mode](o)
}

func (o *options) deadline() time.Time {
	return time.Now().Add(time.Duration(o.seconds * float64(time.Second)))
}

func emit(report result) {
	line, err := json.Marshal(report)
	if err != nil {
		panic(err)
	}
	fmt.Println(string(line))
}

// open makes a host of one transport, which listens if there is no target.
func open(o *options) (host.Host, error) {
	settings := []libp2p.Option{
		libp2p.Security(noise.ID, noise.New),
		libp2p.Muxer(yamux.ID, yamux.DefaultTransport),
		libp2p.ResourceManager(&network.NullResourceManager{}),
		libp2p.DisableRelay(),
		libp2p.DisableMetrics(),
	}
	address := "/ip4/127.0.0.1/tcp/0"
	switch o.transport {
	case "tcp":
		settings = append(settings, libp2p.Transport(tcp.NewTCPTransport))
	case "ws":
		settings, address = append(settings, libp2p.Transport(websocket.New)), address+"/ws"
	case "quic":
		settings, address = append(settings, libp2p.Transport(libp2pquic.NewTransport)), "/ip4/127.0.0.1/udp/0/quic-v1"
	default:
		return nil, fmt.Errorf("there is no transport %q here", o.transport)
	}
	if o.target != "" {
		return libp2p.New(append(settings, libp2p.NoListenAddrs)...)
	}
	h, err := libp2p.New(append(settings, libp2p.ListenAddrStrings(address))...)
	if err != nil {
		return nil, err
	}
	return h, nil
}

func announce(h host.Host) {
	emit(result{"listening": fmt.Sprintf("%s/p2p/%s", h.Addrs()[0], h.ID())})
}

func (o *options) peer() (*peer.AddrInfo, error) {
	address, err := multiaddr.NewMultiaddr(o.target)
	if err != nil {
		return nil, err
	}
	return peer.AddrInfoFromP2pAddr(address)
}

// dial opens a stream to the target.
func dial(o *options) (network.Stream, error) {
	h, err := open(o)
	if err != nil {
		return nil, err
	}
	target, err := o.peer()
	if err != nil {
		return nil, err
	}
	if err := h.Connect(context.Background(), *target); err != nil {
		return nil, err
	}
	return h.NewStream(context.Background(), target.ID, protocol)
}

// serve runs f on the first stream that comes, and returns its result.
func serve(o *options, f func(network.Stream) (result, error)) (result, error) {
	h, err := open(o)
	if err != nil {
		return nil, err
	}
	type outcome struct {
		report result
		err    error
	}
	ended := make(chan outcome, 1)
	h.SetStreamHandler(protocol, func(stream network.Stream) {
		report, err := f(stream)
		ended <- outcome{report, err}
	})
	announce(h)
	told := <-ended
	return told.report, told.err
}

func receive(o *options) (result, error) {
	return serve(o, func(stream network.Stream) (result, error) {
		warmUp := time.Duration(o.seconds / 5 * float64(time.Second))
		var first, begin, last time.Time
		count, message := 0, make([]byte, o.size)
		reader := bufio.NewReaderSize(stream, 64<<10)
		for count == 0 || last.Sub(first).Seconds() < o.seconds {
			if _, err := io.ReadFull(reader, message); err != nil {
				return nil, err
			}
			last = time.Now()
			switch {
			case first.IsZero():
				first, begin = last, last
			case last.Sub(first) < warmUp:
				begin = last
			default:
				count++
			}
		}
		return result{"messages": count, "seconds": last.Sub(begin).Seconds()}, nil
	})
}

func send(o *options) (result, error) {
	stream, err := dial(o)
	if err != nil {
		return nil, err
	}
	message := make([]byte, o.size)
	for at := range message {
		message[at] = byte(rand.Uint32())
	}
	for {
		if _, err := stream.Write(message); err != nil {
			return result{}, nil // the other side has measured enough
		}
	}
}

func pong(o *options) (result, error) {
	return serve(o, func(stream network.Stream) (result, error) {
		message := make([]byte, o.size)
		for {
			if _, err := io.ReadFull(stream, message); err != nil {
				return result{}, nil // the other side has gone
			}
			if _, err := stream.Write(message); err != nil {
				return nil, err
			}
		}
	})
}

func ping(o *options) (result, error) {
	stream, err := dial(o)
	if err != nil {
		return nil, err
	}
	message := make([]byte, o.size)
	count, begin := 0, time.Now()
	for end := o.deadline(); time.Now().Before(end); count++ {
		if _, err := stream.Write(message); err != nil {
			return nil, err
		}
		if _, err := io.ReadFull(stream, message); err != nil {
			return nil, err
		}
	}
	return result{"messages": count, "seconds": time.Since(begin).Seconds()}, nil
}

// idle accepts streams on which nothing happens, until it is killed.
func idle(o *options) (result, error) {
	h, err := open(o)
	if err != nil {
		return nil, err
	}
	h.SetStreamHandler(protocol, func(stream network.Stream) {
		_, _ = io.Copy(io.Discard, stream)
	})
	announce(h)
	select {}
}

// shake connects again and again, and closes each connection.
func shake(o *options) (result, error) {
	target, err := o.peer()
	if err != nil {
		return nil, err
	}
	h, err := open(o)
	if err != nil {
		return nil, err
	}
	count, spent, end := -1, time.Duration(0), o.deadline() // the first one is not counted
	for ; count < 1 || time.Now().Before(end); count++ {
		begin := time.Now()
		if err := h.Connect(context.Background(), *target); err != nil {
			return nil, err
		}
		if count >= 0 {
			spent += time.Since(begin)
		}
		if err := h.Network().ClosePeer(target.ID); err != nil {
			return nil, err
		}
	}
	return result{"messages": count, "seconds": spent.Seconds()}, nil
}

// crowd opens streams, each from a key of its own, says how many there are, and waits for a line after each few.
func crowd(o *options) (result, error) {
	target, err := o.peer()
	if err != nil {
		return nil, err
	}
	input := bufio.NewReader(os.Stdin)
	for number := 1; number <= o.size; number++ {
		h, err := open(o)
		if err != nil {
			return nil, err
		}
		if err := h.Connect(context.Background(), *target); err != nil {
			return nil, err
		}
		stream, err := h.NewStream(context.Background(), target.ID, protocol)
		if err != nil {
			return nil, err
		}
		if _, err := stream.Write(nil); err != nil { // sends what is still to be negotiated
			return nil, err
		}
		if number%step == 0 {
			emit(result{"sessions": number})
			if _, err := input.ReadString('\n'); err != nil {
				return nil, err
			}
		}
	}
	select {}
}
