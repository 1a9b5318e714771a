package main

import (
	"bufio"
	"bytes"
	"context"
	cryptorand "crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
	"time"

	"github.com/ethereum/go-ethereum/p2p"
	"github.com/ethereum/go-ethereum/p2p/enode"
	"github.com/ethereum/go-ethereum/rlp"
)

const (
	dialTimeout    = 5 * time.Second
	defaultTimeout = 30 * time.Second

	// maxSize is above what a message can hold, so that tests can try that.
	maxSize = 1 << 25

	// dialedConn is the value of go-ethereum's own dynDialedConn flag.
	dialedConn = 1
)

// command is one line of input.
type command struct {
	Cmd       string          `json:"cmd"`
	Tag       json.RawMessage `json:"tag"`
	Peer      string          `json:"peer"`
	Enode     string          `json:"enode"`
	Protocol  string          `json:"protocol"`
	Code      *uint64         `json:"code"`
	Kind      string          `json:"kind"`
	Seed      *uint64         `json:"seed"`
	Size      int             `json:"size"`
	Payload   *string         `json:"payload"`
	Count     *int            `json:"count"`
	DataSize  int             `json:"payload_size"`
	TimeoutMS int             `json:"timeout_ms"`
	Reason    int             `json:"reason"`
}

// tagged adds the command's tag to an event about it.
func (cmd *command) tagged(ev event) event {
	if len(cmd.Tag) > 0 {
		ev["tag"] = cmd.Tag
	}
	return ev
}

func (cmd *command) count() int {
	if cmd.Count == nil {
		return 1
	}
	return *cmd.Count
}

// readCommands carries out commands until a quit or the end of input.
func (n *node) readCommands(input io.Reader) {
	lines := bufio.NewReader(input)
	for n.ctx.Err() == nil {
		line, err := lines.ReadBytes('\n')
		if line = bytes.TrimSpace(line); len(line) > 0 {
			cmd := new(command)
			dec := json.NewDecoder(bytes.NewReader(line))
			dec.DisallowUnknownFields()
			err := dec.Decode(cmd)
			if err == nil && cmd.Cmd == "quit" {
				return
			}
			if err == nil {
				err = n.execute(cmd)
			}
			if err != nil {
				n.out.report(cmd.tagged(event{"event": "error", "cmd": cmd.Cmd, "error": err.Error()}))
			}
		}
		if err != nil {
			return
		}
	}
}

// execute starts a command. An error means that it did nothing; what comes of
// it later is reported as events.
func (n *node) execute(cmd *command) error {
	switch cmd.Cmd {
	case "connect", "dial":
		return n.reach(cmd)
	case "disconnect":
		return n.disconnect(cmd)
	case "send":
		return n.send(cmd)
	case "request":
		return n.request(cmd)
	case "peers":
		n.listPeers(cmd)
		return nil
	default:
		return fmt.Errorf("unknown command %q", cmd.Cmd)
	}
}

// reach connects to a node: at once, or by go-ethereum's dial scheduler.
func (n *node) reach(cmd *command) error {
	dest, err := enode.ParseV4(cmd.Enode)
	if err != nil {
		return err
	}
	if cmd.Cmd == "connect" {
		n.spawn(func() {
			err := n.connect(dest)
			n.out.report(cmd.tagged(event{
				"event":  "connected",
				"peer":   dest.ID().String(),
				"ok":     err == nil,
				"reason": reasonOf(err),
				"error":  errorText(err),
			}))
		})
		return nil
	}
	if n.server.NoDial {
		return errors.New("started with -no-dial")
	}
	n.server.AddPeer(dest)
	return nil
}

func (n *node) connect(dest *enode.Node) error {
	dialer := net.Dialer{Timeout: dialTimeout}
	conn, err := dialer.DialContext(n.ctx, "tcp", net.JoinHostPort(dest.IP().String(), strconv.Itoa(dest.TCP())))
	if err != nil {
		return err
	}
	// SetupConn closes the connection if a handshake fails; a stop ends handshakes early.
	defer context.AfterFunc(n.ctx, func() { conn.Close() })()
	return n.server.SetupConn(conn, dialedConn, dest)
}

func (n *node) disconnect(cmd *command) error {
	id, err := enode.ParseID(cmd.Peer)
	if err != nil {
		return err
	}
	if cmd.Reason < 0 || cmd.Reason > 255 {
		return fmt.Errorf("reason %d is not in 0..255", cmd.Reason)
	}
	peer := n.sessions.peer(id)
	if peer == nil {
		return fmt.Errorf("no session with %s", id)
	}
	peer.Disconnect(p2p.DiscReason(cmd.Reason))
	return nil
}

// session finds the session a command is about.
func (n *node) session(cmd *command) (*session, error) {
	id, err := enode.ParseID(cmd.Peer)
	if err != nil {
		return nil, err
	}
	protocol := cmd.Protocol
	if protocol == "" {
		protocol = "echo"
	}
	s := n.sessions.find(id, protocol)
	if s == nil {
		return nil, fmt.Errorf("no %s session with %s", protocol, id)
	}
	return s, nil
}

// enqueue leaves a job to the session's worker, which does one at a time.
func (s *session) enqueue(job func()) error {
	if !s.jobs.put(job) {
		return errors.New("session ended")
	}
	return nil
}

func (n *node) send(cmd *command) error {
	s, err := n.session(cmd)
	if err != nil {
		return err
	}
	if cmd.Code == nil {
		return errors.New("code is missing")
	}
	next, err := cmd.payloads()
	if err != nil {
		return err
	}
	return s.enqueue(func() {
		for i := range cmd.count() {
			payload := next()
			err := s.write(*cmd.Code, payload)
			n.out.report(cmd.tagged(event{
				"event":    "sent",
				"peer":     s.id(),
				"protocol": s.cap.Name,
				"code":     *cmd.Code,
				"index":    i,
				"size":     len(payload),
				"sha256":   fmt.Sprintf("%x", sha256.Sum256(payload)),
				"ok":       err == nil,
				"error":    errorText(err),
			}))
			if err != nil {
				return
			}
		}
	})
}

// payloads returns what makes the payload of each message of a send command.
func (cmd *command) payloads() (next func() []byte, err error) {
	if cmd.Payload != nil {
		payload, err := hex.DecodeString(*cmd.Payload)
		return func() []byte { return payload }, err
	}
	data, err := cmd.dataSource(cmd.Size)
	if err != nil {
		return nil, err
	}
	return func() []byte {
		payload, err := rlp.EncodeToBytes(data())
		if err != nil {
			panic(err) // a byte string can always be encoded
		}
		return payload
	}, nil
}

// dataSource returns what makes byte strings of the given size, of the kind that the command asks for.
func (cmd *command) dataSource(size int) (next func() []byte, err error) {
	if size < 0 || size > maxSize {
		return nil, fmt.Errorf("size %d is not in 0..%d", size, maxSize)
	}
	var seed [32]byte
	if cmd.Seed != nil {
		binary.BigEndian.PutUint64(seed[:], *cmd.Seed)
	} else {
		cryptorand.Read(seed[:])
	}
	source := rand.NewChaCha8(seed)
	switch cmd.Kind {
	case "random", "":
		return func() []byte {
			data := make([]byte, size)
			source.Read(data)
			return data
		}, nil
	case "zeros":
		return func() []byte { return make([]byte, size) }, nil
	default:
		return nil, fmt.Errorf("unknown kind %q", cmd.Kind)
	}
}

func (n *node) request(cmd *command) error {
	s, err := n.session(cmd)
	if err != nil {
		return err
	}
	data, err := cmd.dataSource(cmd.DataSize)
	if err != nil {
		return err
	}
	code := uint64(localRequestCode)
	if cmd.Code != nil {
		code = *cmd.Code
	}
	if s.cap.Name == "blob" || code != localRequestCode && code != requestCode {
		return fmt.Errorf("code %d of %s is not a request", code, s.cap.Name)
	}
	timeout := defaultTimeout
	if cmd.TimeoutMS > 0 {
		timeout = time.Duration(cmd.TimeoutMS) * time.Millisecond
	}
	return s.enqueue(func() {
		for range cmd.count() {
			s.ask(cmd, code, data(), timeout)
		}
	})
}

func (s *session) ask(cmd *command, code uint64, data []byte, timeout time.Duration) {
	c := s.addCall(cmd, code, data, timeout)
	if c == nil {
		s.reportCall(&call{size: len(data), started: time.Now(), cmd: cmd}, "session ended")
		return
	}
	if err := p2p.Send(s.rw, code, request{c.id, data}); err != nil && s.takeCall(c.id, c.answer) != nil {
		s.reportCall(c, err.Error())
	}
}

func (n *node) listPeers(cmd *command) {
	peers := []event{}
	for _, peer := range n.server.Peers() {
		var caps []string
		for _, c := range peer.Caps() {
			caps = append(caps, c.String())
		}
		peers = append(peers, event{
			"peer":      peer.ID().String(),
			"pubkey":    pubkeyHex(peer.Node().Pubkey()),
			"name":      peer.Fullname(),
			"addr":      peer.RemoteAddr().String(),
			"inbound":   peer.Inbound(),
			"caps":      caps,
			"protocols": n.sessions.running(peer.ID()),
		})
	}
	n.out.report(cmd.tagged(event{"event": "peers", "peers": peers}))
}
