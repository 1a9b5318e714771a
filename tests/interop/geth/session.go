package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/p2p"
	"github.com/ethereum/go-ethereum/p2p/enode"
)

// node is this program's server with what the commands need.
type node struct {
	ctx      context.Context
	out      *reporter
	server   *p2p.Server
	sessions *registry

	mu       sync.Mutex
	stopping bool
	tasks    sync.WaitGroup
}

// spawn runs f in a goroutine that stop waits for; it does nothing once the node stops.
func (n *node) spawn(f func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.stopping {
		n.tasks.Go(f)
	}
}

// protocols makes the offered protocols, each with the behaviour its name calls for.
func (n *node) protocols(opts *options) []p2p.Protocol {
	var protocols []p2p.Protocol
	for _, c := range opts.protocols {
		protocols = append(protocols, p2p.Protocol{
			Name:    c.Name,
			Version: c.Version,
			Length:  opts.lengths[c],
			Run: func(peer *p2p.Peer, rw p2p.MsgReadWriter) error {
				return n.runSession(peer, rw, c)
			},
		})
	}
	return protocols
}

// runSession is one protocol on one connection, from its start to its end.
func (n *node) runSession(peer *p2p.Peer, rw p2p.MsgReadWriter, c p2p.Cap) error {
	s := &session{
		node:    n,
		peer:    peer,
		rw:      rw,
		cap:     c,
		jobs:    newQueue[func()](),
		pending: make(map[uint64]*call),
	}
	n.sessions.add(s)
	n.spawn(s.work)
	n.out.report(event{
		"event":    "peer",
		"peer":     s.id(),
		"pubkey":   pubkeyHex(peer.Node().Pubkey()),
		"name":     peer.Fullname(),
		"addr":     peer.RemoteAddr().String(),
		"inbound":  peer.Inbound(),
		"protocol": c.Name,
		"version":  c.Version,
	})
	err := s.serve()
	n.sessions.remove(s)
	s.jobs.close()
	s.giveUpCalls()
	n.out.report(event{
		"event":    "end",
		"peer":     s.id(),
		"protocol": c.Name,
		"version":  c.Version,
		"error":    errorText(err),
	})
	return err
}

// session is one protocol on one connection.
type session struct {
	node *node
	peer *p2p.Peer
	rw   p2p.MsgReadWriter
	cap  p2p.Cap
	jobs *queue[func()] // what commands asked for, done in order by work

	mu       sync.Mutex
	ended    bool
	lastCall uint64
	pending  map[uint64]*call
}

// call is a request that awaits its answer.
type call struct {
	id      uint64
	answer  uint64 // code of the answer
	digest  [sha256.Size]byte
	size    int
	started time.Time
	timeout *time.Timer
	cmd     *command
}

func (s *session) id() string { return s.peer.ID().String() }

func (s *session) work() {
	for {
		job, ok := s.jobs.get()
		if !ok {
			return
		}
		job()
	}
}

// serve reads messages until the connection or the protocol ends.
func (s *session) serve() error {
	handle := s.handleEcho
	if s.cap.Name == "blob" {
		handle = s.handleBlob
	}
	for {
		msg, err := s.rw.ReadMsg()
		if err != nil {
			return err
		}
		payload := make([]byte, msg.Size)
		if _, err := io.ReadFull(msg.Payload, payload); err != nil {
			return err
		}
		if err := handle(msg.Code, payload); err != nil {
			return err
		}
	}
}

// write sends payload as it is.
func (s *session) write(code uint64, payload []byte) error {
	return s.rw.WriteMsg(p2p.Msg{Code: code, Size: uint32(len(payload)), Payload: bytes.NewReader(payload)})
}

func (s *session) reportMessage(code uint64, payload []byte) {
	s.node.out.report(event{
		"event":    "message",
		"peer":     s.id(),
		"protocol": s.cap.Name,
		"version":  s.cap.Version,
		"code":     code,
		"size":     len(payload),
		"sha256":   fmt.Sprintf("%x", sha256.Sum256(payload)),
	})
}

// addCall makes a call for a request about to be sent, or nil when the session has ended.
func (s *session) addCall(cmd *command, code uint64, data []byte, timeout time.Duration) *call {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return nil
	}
	s.lastCall++
	c := &call{
		id:      s.lastCall,
		answer:  code + 1,
		digest:  sha256.Sum256(data),
		size:    len(data),
		started: time.Now(),
		cmd:     cmd,
	}
	s.pending[c.id] = c
	c.timeout = time.AfterFunc(timeout, func() {
		if s.takeCall(c.id, c.answer) != nil {
			s.reportCall(c, "timeout")
		}
	})
	return c
}

// takeCall removes and returns the call that a message answers, nil if there is none.
func (s *session) takeCall(id, code uint64) *call {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.pending[id]
	if c == nil || c.answer != code {
		return nil
	}
	delete(s.pending, id)
	c.timeout.Stop()
	return c
}

func (s *session) giveUpCalls() {
	s.mu.Lock()
	pending := s.pending
	s.pending, s.ended = nil, true
	s.mu.Unlock()
	for _, c := range pending {
		c.timeout.Stop()
		s.reportCall(c, "session ended")
	}
}

// reportCall reports the outcome of a call; an empty problem means that it was answered well.
func (s *session) reportCall(c *call, problem string) {
	ev := event{
		"event":    "answered",
		"peer":     s.id(),
		"protocol": s.cap.Name,
		"id":       c.id,
		"size":     c.size,
		"ms":       float64(time.Since(c.started).Microseconds()) / 1000,
		"ok":       problem == "",
		"error":    nil,
	}
	if problem != "" {
		ev["error"] = problem
	}
	s.node.out.report(c.cmd.tagged(ev))
}

// registry knows the running sessions.
type registry struct {
	mu    sync.Mutex
	peers map[enode.ID]map[string]*session
}

func newRegistry() *registry {
	return &registry{peers: make(map[enode.ID]map[string]*session)}
}

func (r *registry) add(s *session) {
	r.mu.Lock()
	defer r.mu.Unlock()
	id := s.peer.ID()
	if r.peers[id] == nil {
		r.peers[id] = make(map[string]*session)
	}
	r.peers[id][s.cap.Name] = s
}

func (r *registry) remove(s *session) {
	r.mu.Lock()
	defer r.mu.Unlock()
	id := s.peer.ID()
	if r.peers[id][s.cap.Name] == s {
		delete(r.peers[id], s.cap.Name)
	}
	if len(r.peers[id]) == 0 {
		delete(r.peers, id)
	}
}

func (r *registry) find(id enode.ID, protocol string) *session {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.peers[id][protocol]
}

// peer returns the connection to a node, nil if there is none.
func (r *registry) peer(id enode.ID) *p2p.Peer {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.peers[id] {
		return s.peer
	}
	return nil
}

// running lists the protocols in use on each connection, as name -> version.
func (r *registry) running(id enode.ID) map[string]uint {
	r.mu.Lock()
	defer r.mu.Unlock()
	versions := make(map[string]uint)
	for name, s := range r.peers[id] {
		versions[name] = s.cap.Version
	}
	return versions
}
