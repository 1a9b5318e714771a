// transportpeer is a node of devp2p at the other end of a transport: what carries a session is a library of Go's world, and the session
// itself is written here from its specification. See README.md.
package main

import (
	"bufio"
	"crypto/ecdsa"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/ethereum/go-ethereum/crypto"
)

// link is one connection to one peer, as a transport hands it on.
type link struct {
	stream    io.ReadWriteCloser                 // the session, or its base protocol if there are native streams
	peer      *ecdsa.PublicKey                   // as the transport has proved it; nil: it proves nobody, so RLPx's handshake follows
	open      func() (io.ReadWriteCloser, error) // native streams; nil: there are none
	accept    func() (io.ReadWriteCloser, error)
	close     func() // the whole link, once nothing is to be sent any more; nil: the stream is all
	initiator bool
}

// options are what the command line says.
type options struct {
	key     *ecdsa.PrivateKey
	address string           // HOST:PORT, to listen at or to dial
	expect  *ecdsa.PublicKey // of whom is dialled
	fault   string           // what a transport is to do wrong, by a word of its own; "": nothing
}

// transport is what a file of its own registers.
type transport struct {
	dial   func(o options) (*link, error)
	listen func(o options) (address string, accept func() (pending, error), err error)
}

// pending is an accepted connection whose handshake is still to be done.
type pending func() (*link, error)

var transports = map[string]transport{}

func register(name string, made transport) struct{} {
	transports[name] = made
	return struct{}{}
}

var output sync.Mutex

// report writes an event, a line of JSON.
func report(event string, fields map[string]any) {
	line := map[string]any{"event": event}
	for name, value := range fields {
		line[name] = value
	}
	output.Lock()
	defer output.Unlock()
	_ = json.NewEncoder(os.Stdout).Encode(line)
}

func hexOf(key *ecdsa.PublicKey) string {
	return hex.EncodeToString(crypto.FromECDSAPub(key)[1:])
}

func main() {
	if len(os.Args) < 3 || (os.Args[2] != "dial" && os.Args[2] != "listen") {
		fail(fmt.Errorf("usage: transportpeer %s dial|listen [flags]", strings.Join(names(), "|")))
	}
	chosen, found := transports[os.Args[1]]
	if !found {
		fail(fmt.Errorf("no transport %q: there are %s", os.Args[1], strings.Join(names(), ", ")))
	}
	var o options
	flags := flag.NewFlagSet(os.Args[1], flag.ExitOnError)
	key := flags.String("key", "", "private key, 64 hex digits; a new one if empty")
	peer := flags.String("peer", "", "public key of the node to dial, 128 hex digits")
	sizes := flags.String("sizes", "1", "sizes of the messages to be echoed, in bytes, comma-separated")
	flags.StringVar(&o.address, "address", "127.0.0.1:0", "HOST:PORT to listen at or to dial")
	flags.StringVar(&o.fault, "fault", "", "what to do wrong")
	_ = flags.Parse(os.Args[3:])
	var err error
	if o.key, err = privateKey(*key); err != nil {
		fail(err)
	}
	if os.Args[2] == "listen" {
		fail(listen(chosen, o))
	}
	if o.expect, err = publicKey(*peer); err != nil {
		fail(err)
	}
	fail(dial(chosen, o, *sizes))
}

func names() []string {
	var all []string
	for name := range transports {
		all = append(all, name)
	}
	slices.Sort(all)
	return all
}

func fail(err error) {
	if err == nil {
		os.Exit(0)
	}
	fmt.Fprintln(os.Stderr, "transportpeer:", err)
	os.Exit(2)
}

func privateKey(text string) (*ecdsa.PrivateKey, error) {
	if text == "" {
		return crypto.GenerateKey()
	}
	return crypto.HexToECDSA(text)
}

func publicKey(text string) (*ecdsa.PublicKey, error) {
	raw, err := hex.DecodeString(text)
	if err != nil || len(raw) != 64 {
		return nil, fmt.Errorf("-peer %q is not a public key of 128 hex digits", text)
	}
	return crypto.UnmarshalPubkey(append([]byte{4}, raw...))
}

// listen serves sessions until its input ends.
func listen(chosen transport, o options) error {
	address, accept, err := chosen.listen(o)
	if err != nil {
		return err
	}
	report("listening", map[string]any{"address": address, "pubkey": hexOf(&o.key.PublicKey)})
	go func() {
		for {
			arrived, err := accept()
			if err != nil {
				return
			}
			go func() {
				l, err := arrived()
				if err != nil {
					report("refused", map[string]any{"error": err.Error()})
					return
				}
				report("ended", ended(serve(l, o, nil)))
			}()
		}
	}()
	stopped := make(chan os.Signal, 1)
	signal.Notify(stopped, syscall.SIGTERM, os.Interrupt)
	finished := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, bufio.NewReader(os.Stdin))
		close(finished)
	}()
	select {
	case <-stopped:
	case <-finished:
	}
	return nil
}

// dial has messages echoed by a node, and leaves it. What goes wrong is an event, not an exit status.
func dial(chosen transport, o options, sizes string) error {
	var wanted []int
	for text := range strings.SplitSeq(sizes, ",") {
		size, err := strconv.Atoi(text)
		if err != nil {
			return fmt.Errorf("-sizes %q: %w", sizes, err)
		}
		wanted = append(wanted, size)
	}
	l, err := chosen.dial(o)
	if err != nil {
		report("refused", map[string]any{"error": err.Error()})
		return nil
	}
	report("ended", ended(serve(l, o, wanted)))
	return nil
}

func ended(err error) map[string]any {
	var left disconnected
	switch {
	case err == nil:
		return map[string]any{"reason": 0, "by": "us", "error": ""}
	case errors.As(err, &left):
		return map[string]any{"reason": int(left), "by": "peer", "error": ""}
	default:
		return map[string]any{"reason": nil, "by": "", "error": err.Error()}
	}
}
