// Command testpeer is a devp2p node made of go-ethereum's p2p package, for
// interop tests. It takes commands as JSON lines on stdin and reports what
// happens as JSON lines on stdout; README.md lists both.
package main

import (
	"context"
	"crypto/ecdsa"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/log"
	"github.com/ethereum/go-ethereum/p2p"
	"github.com/ethereum/go-ethereum/p2p/enode"
)

// stopGrace bounds how long a stop may take: Server.Stop also waits for inbound
// connections in their handshake, which may take 5 seconds until the keys are
// agreed on and 30 more until Hello.
const stopGrace = 2 * time.Second

// maxHandshakes is how many connections may be in their handshake at a time.
const maxHandshakes = 1000

type options struct {
	key       *ecdsa.PrivateKey
	listen    string
	protocols []p2p.Cap
	lengths   map[p2p.Cap]uint64
	maxPeers  int
	noDial    bool
	bootnodes []*enode.Node
	name      string
	verbosity int
}

func main() {
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer cancel()
	if err := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr); err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(os.Stderr, "testpeer:", err)
		}
		os.Exit(2)
	}
}

// run is the whole program: it returns when ctx ends, stdin ends or a quit
// command was read, after all sessions have been closed.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	opts, err := parseOptions(args, stderr)
	if err != nil {
		return err
	}
	out := newReporter(stdout)
	defer out.close()

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	n := &node{ctx: ctx, out: out, sessions: newRegistry()}
	n.server = &p2p.Server{Config: p2p.Config{
		PrivateKey:       opts.key,
		MaxPeers:         opts.maxPeers,
		MaxPendingPeers:  maxHandshakes,
		DialRatio:        2,
		NoDiscovery:      len(opts.bootnodes) == 0,
		DiscoveryV4:      true,
		DiscoveryV5:      true,
		BootstrapNodes:   opts.bootnodes,
		BootstrapNodesV5: opts.bootnodes,
		Name:             opts.name,
		Protocols:        n.protocols(opts),
		ListenAddr:       opts.listen,
		NoDial:           opts.noDial,
		Logger:           log.NewLogger(newLogHandler(out, stderr, opts.verbosity)),
	}}
	if err := n.server.Start(); err != nil {
		return err
	}
	out.report(listening(n.server, opts.listen != ""))

	go func() {
		defer cancel()
		n.readCommands(stdin)
	}()
	<-ctx.Done()
	n.stop()
	return nil
}

// stop ends all sessions with reason 8 and reports whether everything ended in time.
func (n *node) stop() {
	n.mu.Lock()
	n.stopping = true
	n.mu.Unlock()
	ended := make(chan struct{})
	go func() {
		n.server.Stop()
		n.tasks.Wait()
		close(ended)
	}()
	clean := true
	select {
	case <-ended:
	case <-time.After(stopGrace):
		clean = false
	}
	n.out.report(event{"event": "stopped", "clean": clean})
}

// listening describes this node; enode is nil unless it accepts connections.
func listening(server *p2p.Server, accepts bool) event {
	key := &server.PrivateKey.PublicKey
	ev := event{
		"event":  "listening",
		"enode":  nil,
		"id":     enode.PubkeyToIDV4(key).String(),
		"pubkey": pubkeyHex(key),
		"name":   server.Name,
	}
	if accepts {
		host, port, _ := net.SplitHostPort(server.ListenAddr)
		tcp, _ := strconv.Atoi(port)
		ip := net.ParseIP(host)
		if ip == nil || ip.IsUnspecified() {
			ip = net.IPv4(127, 0, 0, 1)
		}
		udp := tcp
		if server.NoDiscovery {
			udp = 0
		}
		ev["enode"] = enode.NewV4(key, ip, tcp, udp).URLv4()
	}
	return ev
}

func pubkeyHex(key *ecdsa.PublicKey) string {
	return fmt.Sprintf("%x", crypto.FromECDSAPub(key)[1:])
}

func parseOptions(args []string, stderr io.Writer) (*options, error) {
	opts := new(options)
	flags := flag.NewFlagSet("testpeer", flag.ContinueOnError)
	flags.SetOutput(stderr)
	key := flags.String("key", "", "private key, 64 hex digits (default: a new one)")
	protocols := flags.String("protocols", "echo/1:8", "what to offer, a comma-separated list of name/version:length")
	flags.StringVar(&opts.listen, "listen", "127.0.0.1:0", "TCP address to listen on; empty: do not listen")
	flags.IntVar(&opts.maxPeers, "max-peers", 200, "most sessions at a time")
	flags.BoolVar(&opts.noDial, "no-dial", false, "no slots for dialed nodes, all for inbound ones (connect still works)")
	bootnodes := flags.String("bootnodes", "", "take part in discovery (v4 and v5), beginning with these, a comma-separated list of enr: or enode://")
	flags.StringVar(&opts.name, "name", defaultName(), "client name in Hello")
	flags.IntVar(&opts.verbosity, "verbosity", 0, "go-ethereum's log on stderr, 0 (none) to 5 (trace)")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	if flags.NArg() > 0 {
		return nil, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	var err error
	if *key == "" {
		opts.key, err = crypto.GenerateKey()
	} else {
		opts.key, err = crypto.HexToECDSA(*key)
	}
	if err != nil {
		return nil, fmt.Errorf("-key: %w", err)
	}
	if *bootnodes != "" {
		for text := range strings.SplitSeq(*bootnodes, ",") {
			n, err := enode.Parse(enode.ValidSchemes, text)
			if err != nil {
				return nil, fmt.Errorf("-bootnodes: %q: %w", text, err)
			}
			opts.bootnodes = append(opts.bootnodes, n)
		}
	}
	if opts.protocols, opts.lengths, err = parseProtocols(*protocols); err != nil {
		return nil, fmt.Errorf("-protocols: %w", err)
	}
	return opts, nil
}

func parseProtocols(list string) ([]p2p.Cap, map[p2p.Cap]uint64, error) {
	var caps []p2p.Cap
	lengths := make(map[p2p.Cap]uint64)
	for entry := range strings.SplitSeq(list, ",") {
		name, rest, _ := strings.Cut(entry, "/")
		version, length, _ := strings.Cut(rest, ":")
		v, err1 := strconv.ParseUint(version, 10, 32)
		l, err2 := strconv.ParseUint(length, 10, 32)
		if name == "" || err1 != nil || err2 != nil || l == 0 {
			return nil, nil, fmt.Errorf("%q is not of the form name/version:length", entry)
		}
		c := p2p.Cap{Name: name, Version: uint(v)}
		if _, twice := lengths[c]; twice {
			return nil, nil, fmt.Errorf("%s is given twice", c)
		}
		caps = append(caps, c)
		lengths[c] = l
	}
	return caps, lengths, nil
}

func defaultName() string {
	version := "unknown"
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, dep := range info.Deps {
			if dep.Path == "github.com/ethereum/go-ethereum" {
				version = dep.Version
			}
		}
	}
	return fmt.Sprintf("testpeer/%s/%s-%s/%s", version, runtime.GOOS, runtime.GOARCH, runtime.Version())
}
