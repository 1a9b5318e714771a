package main

import (
	"crypto/ecdsa"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"time"

	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/p2p/rlpx"
)

const benchCode = 0x10

// listen opens a port and says under which key.
func listen() (net.Listener, *ecdsa.PrivateKey, error) {
	key, err := crypto.GenerateKey()
	if err != nil {
		return nil, nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	announce(&key.PublicKey, listener.Addr().(*net.TCPAddr).Port)
	return listener, key, nil
}

func rlpxRecv(o *options) (result, error) {
	listener, key, err := listen()
	if err != nil {
		return nil, err
	}
	socket, err := listener.Accept()
	if err != nil {
		return nil, err
	}
	conn := rlpx.NewConn(socket, nil)
	if _, err := conn.Handshake(key); err != nil {
		return nil, err
	}
	conn.SetSnappy(o.snappy)
	m := meter{warmUp: o.duration() / 5}
	for {
		_, data, _, err := conn.Read()
		if isEnd(err) {
			return m.report()
		}
		if err != nil {
			return nil, err
		}
		if len(data) != o.size {
			return nil, fmt.Errorf("a message has %d bytes, not %d", len(data), o.size)
		}
		m.take()
	}
}

func isEnd(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET)
}

// dial connects to the target without shaking hands.
func dial(o *options) (*rlpx.Conn, *ecdsa.PrivateKey, error) {
	key, err := crypto.GenerateKey()
	if err != nil {
		return nil, nil, err
	}
	node, err := o.node()
	if err != nil {
		return nil, nil, err
	}
	socket, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", node.TCP()))
	if err != nil {
		return nil, nil, err
	}
	return rlpx.NewConn(socket, node.Pubkey()), key, nil
}

func rlpxSend(o *options) (result, error) {
	conn, key, err := dial(o)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if _, err := conn.Handshake(key); err != nil {
		return nil, err
	}
	conn.SetSnappy(o.snappy)
	payload := makePayload(o.size, o.payload)
	sent := 0
	for end := time.Now().Add(o.duration()); time.Now().Before(end); sent++ {
		if _, err := conn.Write(benchCode, payload); err != nil {
			return nil, err
		}
	}
	return result{"messages": sent}, nil
}

// rlpxHandshake answers handshakes for ever, or does one after the other and
// times them from the established TCP connection to the agreed keys.
func rlpxHandshake(o *options) (result, error) {
	if o.target == "" {
		return nil, answerHandshakes()
	}
	var spent time.Duration
	count := 0
	for end := time.Now().Add(o.duration()); time.Now().Before(end); count++ {
		conn, key, err := dial(o)
		if err != nil {
			return nil, err
		}
		start := time.Now()
		if _, err := conn.Handshake(key); err != nil {
			return nil, err
		}
		spent += time.Since(start)
		conn.Close()
	}
	return result{"messages": count, "seconds": spent.Seconds()}, nil
}

func answerHandshakes() error {
	listener, key, err := listen()
	if err != nil {
		return err
	}
	for {
		socket, err := listener.Accept()
		if err != nil {
			return err
		}
		conn := rlpx.NewConn(socket, nil)
		if _, err := conn.Handshake(key); err != nil {
			return err
		}
		conn.Close()
	}
}
