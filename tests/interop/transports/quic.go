package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	p2pcrypto "github.com/libp2p/go-libp2p/core/crypto"
	"github.com/quic-go/quic-go"
)

var _ = register("quic", transport{dial: dialQUIC, listen: listenQUIC})

var quicConfig = &quic.Config{HandshakeIdleTimeout: 5 * time.Second, MaxIdleTimeout: patience}

// quicStream closes its sending direction only, as a session does; Close of quic-go's does the same.
type quicStream struct{ *quic.Stream }

func (s quicStream) CloseWrite() error { return s.Stream.Close() }

// Read tells of a connection that the peer has closed in good order as of the end of the stream.
func (s quicStream) Read(data []byte) (int, error) {
	size, err := s.Stream.Read(data)
	var closed *quic.ApplicationError
	if errors.As(err, &closed) && closed.Remote && closed.ErrorCode == 0 {
		err = io.EOF
	}
	return size, err
}

func linkOf(conn *quic.Conn, keys <-chan p2pcrypto.PubKey, initiator bool) (*link, error) {
	give := func(err error) (*link, error) {
		conn.CloseWithError(0, "")
		return nil, err
	}
	if agreed := conn.ConnectionState().TLS.NegotiatedProtocol; agreed != alpn {
		return give(fmt.Errorf("the ALPN agreed on is %q", agreed))
	}
	proved, err := provedKey(keys)
	if err != nil {
		return give(err)
	}
	l := &link{peer: proved, initiator: initiator}
	l.open = func() (io.ReadWriteCloser, error) {
		stream, err := conn.OpenStreamSync(context.Background())
		return quicStream{stream}, err
	}
	l.accept = func() (io.ReadWriteCloser, error) {
		stream, err := conn.AcceptStream(context.Background())
		return quicStream{stream}, err
	}
	l.close = func() { conn.CloseWithError(0, "") }
	first := l.accept
	if initiator {
		first = l.open
	}
	if l.stream, err = first(); err != nil {
		return give(err)
	}
	return l, nil
}

func dialQUIC(o options) (*link, error) {
	config, keys, err := nodeConfig(o)
	if err != nil {
		return nil, err
	}
	within, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, err := quic.DialAddr(within, o.address, config, quicConfig)
	if err != nil {
		return nil, err
	}
	if o.fault == "" {
		return linkOf(conn, keys, true)
	}
	// It breaks a rule, and wants to hear what the other side says to it.
	select {
	case <-conn.Context().Done():
		return nil, context.Cause(conn.Context())
	case <-within.Done():
		return nil, errors.New("the node goes on as if nothing were wrong")
	}
}

func listenQUIC(o options) (string, func() (pending, error), error) {
	where, err := net.ResolveUDPAddr("udp", o.address)
	if err != nil {
		return "", nil, err
	}
	socket, err := net.ListenUDP("udp", where)
	if err != nil {
		return "", nil, err
	}
	if _, _, err := nodeConfig(o); err != nil {
		return "", nil, err
	}
	// Each connection has a configuration of its own, since go-libp2p says by it what it has found.
	found := make(chan (<-chan p2pcrypto.PubKey), 1)
	choose := &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		config, keys, err := nodeConfig(o)
		if err == nil {
			select { // one at a time is dialled in tests
			case <-found:
			default:
			}
			found <- keys
		}
		return config, err
	}}
	listener, err := quic.Listen(socket, choose, quicConfig)
	if err != nil {
		return "", nil, err
	}
	accept := func() (pending, error) {
		conn, err := listener.Accept(context.Background())
		if err != nil {
			return nil, err
		}
		keys := <-found
		return func() (*link, error) { return linkOf(conn, keys, false) }, nil
	}
	return socket.LocalAddr().String(), accept, nil
}
