package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/p2p/rlpx"
	"github.com/ethereum/go-ethereum/rlp"
	"github.com/golang/snappy"
)

// Messages of the base protocol, and of "echo"; "more" is the same, for a second native stream.
const (
	hello, disconnect, ping, pong = 0, 1, 2, 3
	echo, echoed                  = 16, 17

	maxMessage = 1<<24 - 1
	patience   = 30 * time.Second
)

// disconnected is the reason that the peer gave.
type disconnected uint64

func (d disconnected) Error() string { return fmt.Sprintf("the peer left: reason %d", uint64(d)) }

// framing sends and receives messages on one stream.
type framing interface {
	Write(code uint64, payload []byte) error
	Read() (code uint64, payload []byte, err error)
	SetSnappy(on bool)
}

// plain has frames of a length in three bytes, for a transport that has proved the peer.
type plain struct {
	stream     io.ReadWriter
	compressed bool
	writing    sync.Mutex
}

func (p *plain) SetSnappy(on bool) { p.compressed = on }

func (p *plain) frame(data []byte) error {
	if len(data) == 0 || len(data) > maxMessage {
		return fmt.Errorf("a frame of %d bytes", len(data))
	}
	p.writing.Lock()
	defer p.writing.Unlock()
	_, err := p.stream.Write(append([]byte{byte(len(data) >> 16), byte(len(data) >> 8), byte(len(data))}, data...))
	return err
}

func (p *plain) readFrame() ([]byte, error) {
	var prefix [3]byte
	if _, err := io.ReadFull(p.stream, prefix[:]); err != nil {
		return nil, err
	}
	size := int(prefix[0])<<16 | int(prefix[1])<<8 | int(prefix[2])
	if size == 0 {
		return nil, errors.New("an empty frame")
	}
	data := make([]byte, size)
	_, err := io.ReadFull(p.stream, data)
	return data, err
}

func (p *plain) Write(code uint64, payload []byte) error {
	if p.compressed {
		payload = snappy.Encode(nil, payload)
	}
	return p.frame(append(rlp.AppendUint64(nil, code), payload...))
}

func (p *plain) Read() (uint64, []byte, error) {
	data, err := p.readFrame()
	if err != nil {
		return 0, nil, err
	}
	code, payload, err := rlp.SplitUint64(data)
	if err == nil && p.compressed {
		payload, err = snappy.Decode(nil, payload)
	}
	return code, payload, err
}

// ecies has the frames of RLPx, for a transport that proves nobody.
type ecies struct {
	*rlpx.Conn
	writing sync.Mutex
}

func (e *ecies) Write(code uint64, payload []byte) error {
	e.writing.Lock()
	defer e.writing.Unlock()
	_, err := e.Conn.Write(code, payload)
	return err
}

func (e *ecies) Read() (uint64, []byte, error) {
	code, payload, _, err := e.Conn.Read()
	return code, bytes.Clone(payload), err // it is good until the next call only
}

type capability struct {
	Name    string
	Version uint64
}

type helloMessage struct {
	Version      uint64
	Name         string
	Capabilities []capability
	ListenPort   uint64
	ID           []byte
	Rest         []rlp.RawValue `rlp:"tail"`
}

// session is one with its peer.
type session struct {
	base    framing
	own     []framing // of each shared capability; the base protocol's, unless there are native streams
	answers chan []byte
	pongs   chan struct{}
	failed  chan error
}

// serve has a session: with `sizes`, messages of which are echoed, then it leaves; without, until the peer leaves.
func serve(l *link, o options, sizes []int) error {
	defer l.stream.Close()
	if l.close != nil {
		defer l.close()
	}
	s := &session{answers: make(chan []byte, 1), pongs: make(chan struct{}, 1), failed: make(chan error, 2)}
	if err := s.begin(l, o); err != nil {
		return err
	}
	go s.receive(s.base)
	for _, own := range s.own {
		if own != s.base {
			go s.receive(own)
		}
	}
	if sizes == nil {
		err := <-s.failed
		if errors.As(err, new(disconnected)) {
			half(l.stream)
		}
		return err
	}
	if err := s.visit(sizes); err != nil {
		return err
	}
	if err := s.base.Write(disconnect, []byte{0xc1, 0x80}); err != nil {
		return err
	}
	half(l.stream)
	select { // the peer closes, having seen that
	case err := <-s.failed:
		// Who closes at once resets the connection if what ends our direction, as TLS's close_notify, comes after that.
		if errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.As(err, new(disconnected)) {
			return nil
		}
		return err
	case <-time.After(patience):
		return errors.New("the peer does not close")
	}
}

// half ends our direction where the stream can do that.
func half(stream io.ReadWriteCloser) {
	if able, ok := stream.(interface{ CloseWrite() error }); ok {
		_ = able.CloseWrite()
	}
}

// begin does what comes before messages: the proof, if the transport has none, the Hellos, and the capability's stream if it has its own.
func (s *session) begin(l *link, o options) error {
	peer := l.peer
	if peer == nil {
		conn := rlpx.NewConn(connOf(l.stream), expected(l, o))
		proved, err := conn.Handshake(o.key)
		if err != nil {
			return fmt.Errorf("handshake: %w", err)
		}
		peer, s.base = proved, &ecies{Conn: conn}
	} else {
		s.base = &plain{stream: l.stream}
	}
	offered := []capability{{"echo", 1}}
	if l.open != nil {
		offered = append(offered, capability{"more", 1})
	}
	ours, err := rlp.EncodeToBytes(helloMessage{
		Version: 5, Name: "transportpeer", Capabilities: offered, ID: crypto.FromECDSAPub(&o.key.PublicKey)[1:],
	})
	if err != nil {
		return err
	}
	if err := s.base.Write(hello, ours); err != nil {
		return fmt.Errorf("hello: %w", err)
	}
	code, payload, err := s.base.Read()
	switch {
	case err != nil:
		return fmt.Errorf("hello: %w", err)
	case code == disconnect:
		return reason(payload)
	case code != hello:
		return fmt.Errorf("message %d where a Hello is due", code)
	}
	var theirs helloMessage
	if err := rlp.DecodeBytes(payload, &theirs); err != nil {
		return fmt.Errorf("hello: %w", err)
	}
	if !bytes.Equal(theirs.ID, crypto.FromECDSAPub(peer)[1:]) {
		return errors.New("the Hello is of another node than the proof")
	}
	s.base.SetSnappy(theirs.Version >= 5)
	if l.open == nil {
		s.own = []framing{s.base}
	}
	for _, each := range offered {
		if l.open != nil && slices.Contains(theirs.Capabilities, each) {
			own, err := ownStream(l, each, theirs.Version >= 5)
			if err != nil {
				return err
			}
			s.own = append(s.own, own)
		}
	}
	report("peer", map[string]any{"pubkey": hexOf(peer), "name": theirs.Name, "native_auth": l.peer != nil, "native_mux": l.open != nil})
	return nil
}

// expected is whom RLPx's initiator asks for; nil makes a recipient.
func expected(l *link, o options) *ecdsa.PublicKey {
	if l.initiator {
		return o.expect
	}
	return nil
}

// ownStream opens or accepts the stream of a capability, which begins with a frame that names it, sent by the initiator.
func ownStream(l *link, of capability, compressed bool) (framing, error) {
	name, err := rlp.EncodeToBytes(of)
	if err != nil {
		return nil, err
	}
	if l.initiator {
		stream, err := l.open()
		if err != nil {
			return nil, err
		}
		own := &plain{stream: stream, compressed: compressed}
		return own, own.frame(name)
	}
	stream, err := l.accept()
	if err != nil {
		return nil, err
	}
	own := &plain{stream: stream, compressed: compressed}
	said, err := own.readFrame()
	if err == nil && !bytes.Equal(said, name) {
		err = fmt.Errorf("a stream of %x where that of %s is due", said, of.Name)
	}
	return own, err
}

// receive answers what comes on a stream, until its end.
func (s *session) receive(from framing) {
	for {
		code, payload, err := from.Read()
		if err == nil {
			err = s.take(from, code, payload)
		}
		if err != nil {
			if from == s.base || !errors.Is(err, io.EOF) {
				s.failed <- err
			}
			return
		}
	}
}

func (s *session) take(from framing, code uint64, payload []byte) error {
	switch code {
	case disconnect:
		return reason(payload)
	case ping:
		return s.base.Write(pong, []byte{0xc0})
	case pong:
		select {
		case s.pongs <- struct{}{}:
		default:
		}
		return nil
	case echo:
		return from.Write(echoed, payload)
	case echoed:
		s.answers <- payload
		return nil
	}
	return fmt.Errorf("message %d", code)
}

func reason(payload []byte) error {
	var said []uint64
	if err := rlp.DecodeBytes(payload, &said); err != nil || len(said) != 1 {
		return fmt.Errorf("a Disconnect of %x", payload)
	}
	return disconnected(said[0])
}

// visit sends messages of these sizes, and a Ping.
func (s *session) visit(sizes []int) error {
	for _, size := range sizes {
		data := make([]byte, size)
		_, _ = rand.Read(data)
		payload, err := rlp.EncodeToBytes([][]byte{data})
		if err != nil {
			return err
		}
		for _, own := range s.own {
			if err := own.Write(echo, payload); err != nil {
				return err
			}
			select {
			case answer := <-s.answers:
				report("echoed", map[string]any{"size": size, "same": bytes.Equal(answer, payload)})
			case err := <-s.failed:
				return err
			case <-time.After(patience):
				return fmt.Errorf("no echo of %d bytes", size)
			}
		}
	}
	if err := s.base.Write(ping, []byte{0xc0}); err != nil {
		return err
	}
	select {
	case <-s.pongs:
		report("pong", nil)
		return nil
	case err := <-s.failed:
		return err
	case <-time.After(patience):
		return errors.New("no Pong")
	}
}

// conn makes a net.Conn, which rlpx wants, of a stream that has no deadlines or addresses.
type conn struct{ io.ReadWriteCloser }

func connOf(stream io.ReadWriteCloser) net.Conn {
	if whole, ok := stream.(net.Conn); ok {
		return whole
	}
	return conn{stream}
}

func (conn) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (conn) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (conn) SetDeadline(time.Time) error      { return nil }
func (conn) SetReadDeadline(time.Time) error  { return nil }
func (conn) SetWriteDeadline(time.Time) error { return nil }
