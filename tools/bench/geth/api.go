package main

import (
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/p2p"
)

const maxPeers = 1200

// blob is the typed message of all benchmarks: one field of bytes.
type blob struct {
	Data []byte
}

// startServer runs a node with some protocols: without a target it listens, with one it dials.
func startServer(o *options, protocols ...p2p.Protocol) (*p2p.Server, error) {
	key, err := crypto.GenerateKey()
	if err != nil {
		return nil, err
	}
	config := p2p.Config{
		PrivateKey:      key,
		MaxPeers:        maxPeers,
		MaxPendingPeers: maxPeers,
		NoDiscovery:     true,
		Name:            "gethbench",
		Protocols:       protocols,
	}
	if o.target == "" {
		config.ListenAddr, config.NoDial = "127.0.0.1:0", true
	}
	server := &p2p.Server{Config: config}
	if err := server.Start(); err != nil {
		return nil, err
	}
	if o.target != "" {
		node, err := o.node()
		if err != nil {
			return nil, err
		}
		server.AddPeer(node)
		return server, nil
	}
	_, text, err := net.SplitHostPort(server.ListenAddr)
	if err != nil {
		return nil, err
	}
	port, err := strconv.Atoi(text)
	announce(&key.PublicKey, port)
	return server, err
}

// protocol gives a one-version protocol that runs f.
func protocol(name string, length uint64, f func(rw p2p.MsgReadWriter) error) p2p.Protocol {
	return p2p.Protocol{
		Name: name, Version: 1, Length: length,
		Run: func(_ *p2p.Peer, rw p2p.MsgReadWriter) error { return f(rw) },
	}
}

// readBlob takes the next message and decodes it.
func readBlob(rw p2p.MsgReadWriter) (*blob, error) {
	msg, err := rw.ReadMsg()
	if err != nil {
		return nil, err
	}
	b := new(blob)
	if err := msg.Decode(b); err != nil {
		return nil, err
	}
	return b, nil
}

func apiRecv(o *options) (result, error) {
	ended := newLatch()
	m := meter{warmUp: o.duration() / 5}
	_, err := startServer(o, protocol("bench", 1, func(rw p2p.MsgReadWriter) error {
		defer ended.set()
		for {
			b, err := readBlob(rw)
			if err != nil {
				return err
			}
			if len(b.Data) != o.size {
				return fmt.Errorf("a message has %d bytes, not %d", len(b.Data), o.size)
			}
			m.take()
		}
	}))
	if err != nil {
		return nil, err
	}
	<-ended.done
	return m.report()
}

func apiSend(o *options) (result, error) {
	ended := newLatch()
	payload := makePayload(o.size, o.payload)
	sent := 0
	server, err := startServer(o, protocol("bench", 1, func(rw p2p.MsgReadWriter) error {
		defer ended.set()
		for end := time.Now().Add(o.duration()); time.Now().Before(end); sent++ {
			if err := p2p.Send(rw, 0, &blob{payload}); err != nil {
				return err
			}
		}
		return nil
	}))
	if err != nil {
		return nil, err
	}
	<-ended.done
	server.Stop()
	return result{"messages": sent}, nil
}

// idleServe accepts sessions on which nothing happens, until it is killed.
func idleServe(o *options) (result, error) {
	_, err := startServer(o, protocol("bench", 1, func(rw p2p.MsgReadWriter) error {
		for {
			if _, err := readBlob(rw); err != nil {
				return err
			}
		}
	}))
	if err != nil {
		return nil, err
	}
	select {}
}
