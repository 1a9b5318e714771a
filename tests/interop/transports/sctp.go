package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/crypto"
	libp2ptls "github.com/libp2p/go-libp2p/p2p/security/tls"
	"github.com/pion/dtls/v3"
	"github.com/pion/logging"
	"github.com/pion/sctp"
)

var _ = register("sctp", transport{dial: dialSCTP, listen: listenSCTP})

// What is below is written from docs/spec/sctp.md, whose words it uses.
const (
	sctpOpen, sctpData, sctpEnd, sctpStop, sctpCredit, sctpFree = 0, 1, 2, 3, 4, 5

	sctpStreams     = 128
	sctpMostMessage = 16384
	sctpFirstCredit = 16384
	sctpWindow      = 262144
)

// keyInChain lets go-libp2p judge the certificate of the peer.
func keyInChain(raw [][]byte) (*ecdsa.PublicKey, error) {
	var chain []*x509.Certificate
	for _, one := range raw {
		parsed, err := x509.ParseCertificate(one)
		if err != nil {
			return nil, err
		}
		chain = append(chain, parsed)
	}
	found, err := libp2ptls.PubKeyFromCertChain(chain)
	if err != nil {
		return nil, err
	}
	compressed, err := found.Raw()
	if err != nil {
		return nil, err
	}
	return crypto.DecompressPubkey(compressed)
}

func dtlsConfig(o options) (*dtls.Config, error) {
	config, _, err := nodeConfig(o)
	if err != nil {
		return nil, err
	}
	return &dtls.Config{
		Certificates:         config.Certificates,
		SupportedProtocols:   config.NextProtos,
		ClientAuth:           dtls.RequireAnyClientCert,
		InsecureSkipVerify:   true, // go-libp2p does it
		ExtendedMasterSecret: dtls.RequireExtendedMasterSecret,
		VerifyPeerCertificate: func(raw [][]byte, _ [][]*x509.Certificate) error {
			found, err := keyInChain(raw)
			if err == nil && o.expect != nil && !found.Equal(o.expect) {
				err = errors.New("the certificate is of another node")
			}
			return err
		},
	}, nil
}

// sctpLink has all streams of an association.
type sctpLink struct {
	association *sctp.Association
	lock        sync.Mutex
	changed     *sync.Cond
	streams     map[uint16]*sctpStream
	waiting     map[uint32]*sctpStream // opened by the peer and not accepted, by how many it had opened before
	next        uint16                 // the next number that we open
	opened      uint32
	accepted    uint32
	err         error
}

// sctpStream is one stream; its fields are under the link's lock.
type sctpStream struct {
	link     *sctpLink
	number   uint16
	under    *sctp.Stream
	received []byte
	credit   int // what we may send
	granted  int // what the peer may send
	consumed int
	ours     bool
	hasEnded bool // we have
	isEnded  bool // the peer has
	stopped  bool // by the peer
	freed    bool
}

func newSCTPLink(association *sctp.Association, client bool) *sctpLink {
	l := &sctpLink{association: association, streams: map[uint16]*sctpStream{}, waiting: map[uint32]*sctpStream{}}
	l.changed = sync.NewCond(&l.lock)
	if !client {
		l.next = 1
	}
	go func() {
		for {
			under, err := association.AcceptStream()
			if err != nil {
				l.fail(err)
				return
			}
			go l.read(under)
		}
	}()
	return l
}

func (l *sctpLink) fail(err error) {
	l.lock.Lock()
	defer l.lock.Unlock()
	if l.err == nil {
		l.err = err
	}
	l.changed.Broadcast()
}

// read takes the messages of one number.
func (l *sctpLink) read(under *sctp.Stream) {
	buffer := make([]byte, sctpMostMessage)
	for {
		size, err := under.Read(buffer)
		if err == nil && size == 0 {
			err = errors.New("an empty message")
		}
		if err == nil {
			err = l.take(under, buffer[:size])
		}
		if err != nil {
			l.fail(err)
			return
		}
	}
}

func (l *sctpLink) take(under *sctp.Stream, message []byte) error {
	l.lock.Lock()
	defer l.lock.Unlock()
	defer l.changed.Broadcast()
	number, kind, rest := under.StreamIdentifier(), message[0], message[1:]
	s := l.streams[number]
	if kind == sctpOpen {
		if s != nil || number%2 == l.next%2 || len(rest) != 4 {
			return fmt.Errorf("the stream %d is opened that cannot be", number)
		}
		serial := binary.BigEndian.Uint32(rest)
		if serial-l.accepted >= sctpStreams || l.waiting[serial] != nil {
			return fmt.Errorf("a stream is opened as number %d, which is not its turn", serial)
		}
		s = &sctpStream{link: l, number: number, under: under, credit: sctpFirstCredit, granted: sctpFirstCredit}
		l.streams[number], l.waiting[serial] = s, s
		return nil
	}
	if s == nil {
		if kind == sctpCredit || kind == sctpStop {
			return nil
		}
		return fmt.Errorf("message %d on the stream %d, which is not open", kind, number)
	}
	switch kind {
	case sctpData:
		if len(rest) == 0 || len(rest) > s.granted || s.isEnded {
			return fmt.Errorf("%d bytes where there may be %d", len(rest), s.granted)
		}
		s.granted -= len(rest)
		s.received = append(s.received, rest...)
	case sctpEnd:
		s.isEnded = true
		return s.free()
	case sctpStop:
		s.stopped = true
		return s.end()
	case sctpCredit:
		if len(rest) != 4 {
			return errors.New("credit of no size")
		}
		s.credit += int(binary.BigEndian.Uint32(rest))
	case sctpFree:
		if !s.ours || !s.hasEnded || !s.isEnded {
			return errors.New("a stream is given back that is not over")
		}
		delete(l.streams, number)
	default:
		return fmt.Errorf("no message begins with %d", kind)
	}
	return nil
}

func (s *sctpStream) say(kind byte, rest ...byte) error {
	_, err := s.under.WriteSCTP(append([]byte{kind}, rest...), sctp.PayloadTypeUnknown)
	return err
}

func (s *sctpStream) grant(size int) error {
	s.consumed += size
	if s.consumed < sctpWindow/2 || s.isEnded {
		return nil
	}
	grown := s.consumed
	s.granted, s.consumed = s.granted+grown, 0
	return s.say(sctpCredit, binary.BigEndian.AppendUint32(nil, uint32(grown))...)
}

func (s *sctpStream) end() error {
	if s.hasEnded {
		return nil
	}
	s.hasEnded = true
	if err := s.say(sctpEnd); err != nil {
		return err
	}
	return s.free()
}

func (s *sctpStream) free() error {
	if s.ours || s.freed || !s.hasEnded || !s.isEnded {
		return nil
	}
	s.freed = true
	delete(s.link.streams, s.number)
	return s.say(sctpFree)
}

func (s *sctpStream) Read(data []byte) (int, error) {
	s.link.lock.Lock()
	defer s.link.lock.Unlock()
	for len(s.received) == 0 {
		if s.isEnded {
			return 0, io.EOF
		}
		if s.link.err != nil {
			return 0, s.link.err
		}
		s.link.changed.Wait()
	}
	size := copy(data, s.received)
	s.received = s.received[size:]
	return size, s.grant(size)
}

func (s *sctpStream) Write(data []byte) (int, error) {
	s.link.lock.Lock()
	defer s.link.lock.Unlock()
	done := 0
	for done < len(data) {
		switch {
		case s.hasEnded || s.stopped:
			return done, io.ErrClosedPipe
		case s.link.err != nil:
			return done, s.link.err
		case s.credit == 0:
			s.link.changed.Wait()
			continue
		}
		size := min(len(data)-done, s.credit, sctpMostMessage-1)
		if err := s.say(sctpData, data[done:done+size]...); err != nil {
			return done, err
		}
		s.credit -= size
		done += size
	}
	return done, nil
}

func (s *sctpStream) CloseWrite() error {
	s.link.lock.Lock()
	defer s.link.lock.Unlock()
	return s.end()
}

func (s *sctpStream) Close() error {
	s.link.lock.Lock()
	defer s.link.lock.Unlock()
	if !s.isEnded && s.link.err == nil {
		_ = s.say(sctpStop)
	}
	return s.end()
}

func (l *sctpLink) open() (io.ReadWriteCloser, error) {
	l.lock.Lock()
	defer l.lock.Unlock()
	if l.next >= sctpStreams { // it takes no number again, which is enough for a test
		return nil, errors.New("all numbers of streams have been used")
	}
	under, err := l.association.OpenStream(l.next, sctp.PayloadTypeUnknown)
	if err != nil {
		return nil, err
	}
	s := &sctpStream{link: l, number: l.next, under: under, credit: sctpFirstCredit, granted: sctpFirstCredit, ours: true}
	l.streams[l.next] = s
	l.next += 2
	if err := s.say(sctpOpen, binary.BigEndian.AppendUint32(nil, l.opened)...); err != nil {
		return nil, err
	}
	l.opened++
	go l.read(under)
	return s, s.grant(sctpWindow - sctpFirstCredit)
}

func (l *sctpLink) accept() (io.ReadWriteCloser, error) {
	l.lock.Lock()
	defer l.lock.Unlock()
	for l.waiting[l.accepted] == nil {
		if l.err != nil {
			return nil, l.err
		}
		l.changed.Wait()
	}
	s := l.waiting[l.accepted]
	delete(l.waiting, l.accepted)
	l.accepted++
	return s, s.grant(sctpWindow - sctpFirstCredit)
}

// overDTLS does both handshakes of a connection of DTLS.
func overDTLS(conn *dtls.Conn, o options, initiator bool) (*link, error) {
	within, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	give := func(err error) (*link, error) {
		conn.Close()
		return nil, err
	}
	if err := conn.HandshakeContext(within); err != nil {
		return give(err)
	}
	state, ok := conn.ConnectionState()
	if !ok {
		return give(errors.New("no state of DTLS"))
	}
	if o.fault != "" {
		// It breaks a rule, and wants to hear what the other side says to it.
		_ = conn.SetReadDeadline(time.Now().Add(patience))
		if _, err := conn.Read(make([]byte, 2048)); err != nil {
			return give(err)
		}
		return give(errors.New("the node goes on as if nothing were wrong"))
	}
	if state.NegotiatedProtocol != alpn {
		return give(fmt.Errorf("the ALPN agreed on is %q", state.NegotiatedProtocol))
	}
	proved, err := keyInChain(state.PeerCertificates)
	if err != nil {
		return give(err)
	}
	make := sctp.Server
	if initiator {
		make = sctp.Client
	}
	association, err := make(sctp.Config{NetConn: conn, LoggerFactory: logging.NewDefaultLoggerFactory()})
	if err != nil {
		return give(err)
	}
	l := newSCTPLink(association, initiator)
	made := &link{peer: proved, initiator: initiator, open: l.open, accept: l.accept}
	made.close = func() {
		leaving, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = association.Shutdown(leaving)
		_ = association.Close()
		conn.Close()
	}
	first := l.accept
	if initiator {
		first = l.open
	}
	if made.stream, err = first(); err != nil {
		return give(err)
	}
	return made, nil
}

func dialSCTP(o options) (*link, error) {
	config, err := dtlsConfig(o)
	if err != nil {
		return nil, err
	}
	where, err := net.ResolveUDPAddr("udp", o.address)
	if err != nil {
		return nil, err
	}
	conn, err := dtls.Dial("udp", where, config)
	if err != nil {
		return nil, err
	}
	return overDTLS(conn, o, true)
}

func listenSCTP(o options) (string, func() (pending, error), error) {
	config, err := dtlsConfig(o)
	if err != nil {
		return "", nil, err
	}
	where, err := net.ResolveUDPAddr("udp", o.address)
	if err != nil {
		return "", nil, err
	}
	listener, err := dtls.Listen("udp", where, config)
	if err != nil {
		return "", nil, err
	}
	accept := func() (pending, error) {
		arrived, err := listener.Accept()
		if err != nil {
			return nil, err
		}
		return func() (*link, error) { return overDTLS(arrived.(*dtls.Conn), o, false) }, nil
	}
	return listener.Addr().String(), accept, nil
}
