package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/p2p"
)

// peerUnderTest is a whole test peer in this process, driven as a test suite drives it.
type peerUnderTest struct {
	t       *testing.T
	input   *io.PipeWriter
	events  chan event
	waiting []event // read but not asked for yet
	enode   string
	id      string
	ended   chan error
}

func startPeer(t *testing.T, args ...string) *peerUnderTest {
	t.Helper()
	stdin, input := io.Pipe()
	output, stdout := io.Pipe()
	p := &peerUnderTest{t: t, input: input, events: make(chan event, 1000), ended: make(chan error, 1)}
	go func() {
		defer stdout.Close()
		p.ended <- run(context.Background(), args, stdin, stdout, io.Discard)
	}()
	go func() {
		dec := json.NewDecoder(output)
		dec.UseNumber()
		for {
			ev := make(event)
			if dec.Decode(&ev) != nil {
				return
			}
			p.events <- ev
		}
	}()
	hello := p.expect("listening", nil)
	p.enode, _ = hello["enode"].(string)
	p.id, _ = hello["id"].(string)
	t.Cleanup(func() { input.Close() })
	return p
}

func (p *peerUnderTest) command(fields event) {
	p.t.Helper()
	line, err := json.Marshal(fields)
	if err == nil {
		_, err = p.input.Write(append(line, '\n'))
	}
	if err != nil {
		p.t.Fatal(err)
	}
}

// expect returns the first event of a name with the given fields that was not returned before.
func (p *peerUnderTest) expect(name string, fields event) event {
	p.t.Helper()
	matches := func(ev event) bool {
		if ev["event"] != name {
			return false
		}
		for key, want := range fields {
			if fmt.Sprint(ev[key]) != fmt.Sprint(want) {
				return false
			}
		}
		return true
	}
	for i, ev := range p.waiting {
		if matches(ev) {
			p.waiting = append(p.waiting[:i:i], p.waiting[i+1:]...)
			return ev
		}
	}
	deadline := time.After(20 * time.Second)
	for {
		select {
		case ev := <-p.events:
			if matches(ev) {
				return ev
			}
			p.waiting = append(p.waiting, ev)
		case <-deadline:
			p.t.Fatalf("no event %q with %v; there were %v", name, fields, p.waiting)
		}
	}
}

func (p *peerUnderTest) connect(to *peerUnderTest, protocols ...string) {
	p.t.Helper()
	p.command(event{"cmd": "connect", "enode": to.enode})
	p.expect("connected", event{"ok": true, "peer": to.id})
	for _, protocol := range protocols {
		p.expect("peer", event{"peer": to.id, "protocol": protocol, "inbound": false})
		to.expect("peer", event{"peer": p.id, "protocol": protocol, "inbound": true})
	}
}

func (p *peerUnderTest) quit() {
	p.t.Helper()
	p.command(event{"cmd": "quit"})
	p.expect("stopped", event{"clean": true})
	if err := <-p.ended; err != nil {
		p.t.Fatal(err)
	}
}

func TestDiscovery(t *testing.T) {
	nobody := "enode://" + "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8" + "@127.0.0.1:9"
	first := startPeer(t, "-bootnodes", nobody)
	second := startPeer(t, "-bootnodes", first.enode)
	second.expect("peer", event{"peer": first.id, "protocol": "echo"})
	if _, err := parseOptions([]string{"-bootnodes", "nobody"}, io.Discard); err == nil {
		t.Error("a bootnode that is none was accepted")
	}
}

func TestMessages(t *testing.T) {
	a := startPeer(t, "-protocols", "echo/1:8,blob/1:4,blob/2:4")
	b := startPeer(t, "-protocols", "blob/1:4,blob/2:4,other/3:8,echo/1:8")
	b.connect(a, "echo", "blob")

	b.command(event{"cmd": "send", "peer": a.id, "code": echoCode, "size": 100000, "count": 3})
	for range 3 {
		sent := b.expect("sent", event{"ok": true, "size": 100004})
		b.expect("message", event{"code": echoedCode, "sha256": sent["sha256"]})
	}
	b.command(event{"cmd": "send", "peer": a.id, "protocol": "blob", "code": blobAskCode, "payload": "c180"})
	sent := b.expect("sent", event{"ok": true, "size": 2})
	if fmt.Sprint(sent["index"]) != "0" {
		t.Error("wrong index:", sent)
	}
	b.expect("message", event{"code": blobVersionCode, "size": 2, "version": 2}) // c102

	for _, code := range []int{requestCode, localRequestCode} {
		a.command(event{"cmd": "request", "peer": b.id, "payload_size": 1 << 20, "code": code, "count": 2, "tag": code})
		a.expect("answered", event{"ok": true, "tag": code})
		a.expect("answered", event{"ok": true, "tag": code})
	}
	a.command(event{"cmd": "peers"})
	list := fmt.Sprint(a.expect("peers", nil)["peers"])
	if !strings.Contains(list, "caps:[blob/1 blob/2 echo/1 other/3]") {
		t.Error("wrong list of peers:", list)
	}
	b.quit()
	a.quit()
}

func TestLargestMessages(t *testing.T) {
	a, b := startPeer(t), startPeer(t)
	for _, limit := range []struct {
		kind string
		size int // of the byte string
	}{{"zeros", 1<<24 - 1 - 4}, {"random", 1<<24 - 1 - 777}} {
		b.connect(a, "echo")
		b.command(event{"cmd": "send", "peer": a.id, "code": sinkCode, "kind": limit.kind, "size": limit.size})
		sent := b.expect("sent", event{"ok": true})
		a.expect("message", event{"size": limit.size + 4, "sha256": sent["sha256"]})

		b.command(event{"cmd": "send", "peer": a.id, "code": sinkCode, "kind": limit.kind, "size": limit.size + 1})
		b.expect("sent", event{"ok": false, "error": "message length >= 16MB"})
		b.expect("drop", event{"remote_requested": false, "reason": nil, "error": "message length >= 16MB"})
		a.expect("drop", event{"remote_requested": false, "reason": nil, "error": "EOF"})
	}
	b.quit()
	a.quit()
}

func TestEnds(t *testing.T) {
	a, b := startPeer(t), startPeer(t)
	for _, reason := range []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 16, 17, 255} {
		b.connect(a, "echo")
		a.command(event{"cmd": "disconnect", "peer": b.id, "reason": reason})
		a.expect("drop", event{"peer": b.id, "reason": reason, "remote_requested": false, "error": p2p.DiscReason(reason).Error()})
		if reason == int(p2p.DiscNetworkError) { // this one go-ethereum does not send
			b.expect("drop", event{"peer": a.id, "reason": nil, "remote_requested": false, "error": "EOF"})
		} else {
			b.expect("drop", event{"peer": a.id, "reason": reason, "remote_requested": true})
		}
		a.expect("end", event{"peer": b.id, "protocol": "echo"})
		b.expect("end", event{"peer": a.id, "protocol": "echo"})
	}
	b.connect(a, "echo")
	b.command(event{"cmd": "request", "peer": a.id, "payload_size": 1})
	b.expect("answered", event{"ok": true})
	b.command(event{"cmd": "send", "peer": a.id, "code": requestCode, "payload": "c0"})
	a.expect("end", event{"error": "request with code 2: rlp: too few elements for main.request"})
	b.expect("drop", event{"peer": a.id, "reason": 16, "remote_requested": true})
	b.quit()
	a.quit()
}

func TestRefusals(t *testing.T) {
	a := startPeer(t, "-no-dial", "-max-peers", "1")
	useless := startPeer(t, "-protocols", "other/1:1", "-listen", "")
	if useless.enode != "" {
		t.Error("listens on", useless.enode)
	}
	useless.command(event{"cmd": "connect", "enode": a.enode, "tag": "here"})
	useless.expect("connected", event{"ok": false, "reason": 3, "tag": "here"})
	a.expect("rejected", event{"stage": "checks", "peer": useless.id, "reason": 3, "inbound": true})

	first, second := startPeer(t), startPeer(t)
	first.connect(a, "echo")
	second.command(event{"cmd": "connect", "enode": a.enode})
	second.expect("connected", event{"ok": false, "reason": 4})
	second.expect("rejected", event{"stage": "hello", "reason": 4, "inbound": false})
	a.expect("rejected", event{"stage": "checks", "peer": second.id, "reason": 4})

	a.command(event{"cmd": "dial", "enode": first.enode})
	a.expect("error", event{"cmd": "dial", "error": "started with -no-dial"})
	a.command(event{"cmd": "send", "peer": second.id, "code": 0})
	a.expect("error", event{"cmd": "send", "error": "no echo session with " + second.id})
	a.command(event{"cmd": "quit", "unknown": 1})
	a.expect("error", event{"error": `json: unknown field "unknown"`})
	for _, p := range []*peerUnderTest{a, useless, first, second} {
		p.quit()
	}
}

// A connection in its handshake must not hold up the end of the program.
func TestStopDuringHandshake(t *testing.T) {
	a := startPeer(t)
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	a.command(event{"cmd": "connect", "enode": a.enode[:len("enode://")+128] + "@" + silent.Addr().String()})
	conn, err := silent.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	a.quit()
}
