package main

import (
	"crypto/rand"
	"errors"
	"net"
	"slices"
	"time"

	"github.com/ethereum/go-ethereum/common/mclock"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/p2p/discover/v4wire"
	"github.com/ethereum/go-ethereum/p2p/discover/v5wire"
	"github.com/ethereum/go-ethereum/p2p/enode"
)

const batch = 32 // steps between two looks at the clock

// repeat does a step over and over, first to warm up, and reports how often and
// how long.
func repeat(o *options, step func() error) (result, error) {
	var count int
	var spent time.Duration
	for _, duration := range []time.Duration{o.duration() / 5, o.duration()} {
		begin := time.Now()
		for count, spent = 0, 0; spent < duration; spent = time.Since(begin) {
			for range batch {
				if err := step(); err != nil {
					return nil, err
				}
			}
			count += batch
		}
	}
	return result{"messages": count, "seconds": spent.Seconds()}, nil
}

func pingV4() *v4wire.Ping {
	loopback := net.IP{127, 0, 0, 1}
	return &v4wire.Ping{
		Version:    4,
		From:       v4wire.Endpoint{IP: loopback, UDP: 30301, TCP: 30303},
		To:         v4wire.Endpoint{IP: loopback, UDP: 30302},
		Expiration: uint64(time.Now().Add(20 * time.Second).Unix()),
		ENRSeq:     uint64(time.Now().UnixMilli()),
	}
}

func encodeV4(o *options) (result, error) {
	key, err := crypto.GenerateKey()
	if err != nil {
		return nil, err
	}
	ping := pingV4()
	return repeat(o, func() error {
		_, _, err := v4wire.Encode(key, ping)
		return err
	})
}

func decodeV4(o *options) (result, error) {
	key, err := crypto.GenerateKey()
	if err != nil {
		return nil, err
	}
	data, _, err := v4wire.Encode(key, pingV4())
	if err != nil {
		return nil, err
	}
	return repeat(o, func() error {
		_, _, _, err := v4wire.Decode(data)
		return err
	})
}

// party is a node of discovery v5, as far as its packets go.
type party struct {
	ln    *enode.LocalNode
	codec *v5wire.Codec
	addr  string
}

func newParty(port int) (*party, error) {
	key, err := crypto.GenerateKey()
	if err != nil {
		return nil, err
	}
	db, err := enode.OpenDB("")
	if err != nil {
		return nil, err
	}
	ln := enode.NewLocalNode(db, key)
	endpoint := net.UDPAddr{IP: net.IP{127, 0, 0, 1}, Port: port}
	ln.SetStaticIP(endpoint.IP)
	ln.SetFallbackUDP(port)
	return &party{ln, v5wire.NewCodec(ln, key, mclock.System{}, nil), endpoint.String()}, nil
}

func (p *party) ping() *v5wire.Ping {
	id := make([]byte, 8)
	rand.Read(id)
	return &v5wire.Ping{ReqID: id, ENRSeq: p.ln.Seq()}
}

// prove has another one ask who this is, and makes the handshake packet of a message.
func (p *party) prove(message v5wire.Packet, to *party) ([]byte, error) {
	question := new(v5wire.Whoareyou)
	rand.Read(question.IDNonce[:])
	asked, _, err := to.codec.Encode(p.ln.ID(), p.addr, question, nil)
	if err != nil {
		return nil, err
	}
	_, _, packet, err := p.codec.Decode(asked, to.addr)
	if err != nil {
		return nil, err
	}
	challenge, ok := packet.(*v5wire.Whoareyou)
	if !ok {
		return nil, errors.New("no WHOAREYOU")
	}
	challenge.Node = to.ln.Node()
	proof, _, err := p.codec.Encode(to.ln.ID(), to.addr, message, challenge)
	return slices.Clone(proof), err
}

// decode reads the packet of a Ping, which may be a handshake packet.
func (p *party) decode(data []byte, source string) error {
	_, _, packet, err := p.codec.Decode(data, source)
	if err != nil {
		return err
	}
	if _, ok := packet.(*v5wire.Ping); !ok {
		return errors.New("a packet did not open")
	}
	return nil
}

// acquainted gives two with a session.
func acquainted() (initiator, recipient *party, err error) {
	if initiator, err = newParty(30301); err != nil {
		return nil, nil, err
	}
	if recipient, err = newParty(30302); err != nil {
		return nil, nil, err
	}
	proof, err := initiator.prove(initiator.ping(), recipient)
	if err != nil {
		return nil, nil, err
	}
	return initiator, recipient, recipient.decode(proof, initiator.addr)
}

func encodeV5(o *options) (result, error) {
	sender, receiver, err := acquainted()
	if err != nil {
		return nil, err
	}
	ping := sender.ping()
	return repeat(o, func() error {
		_, _, err := sender.codec.Encode(receiver.ln.ID(), receiver.addr, ping, nil)
		return err
	})
}

func decodeV5(o *options) (result, error) {
	sender, receiver, err := acquainted()
	if err != nil {
		return nil, err
	}
	packet, _, err := sender.codec.Encode(receiver.ln.ID(), receiver.addr, sender.ping(), nil)
	if err != nil {
		return nil, err
	}
	data := slices.Clone(packet)
	return repeat(o, func() error { return receiver.decode(data, sender.addr) })
}

// handshakeV5 times the recipient's work on a handshake packet with a record
// and a Ping; making these is not timed.
func handshakeV5(o *options) (result, error) {
	initiator, recipient, err := acquainted()
	if err != nil {
		return nil, err
	}
	var spent time.Duration
	count := 0
	for end := time.Now().Add(o.duration()); time.Now().Before(end); count++ {
		proof, err := initiator.prove(initiator.ping(), recipient)
		if err != nil {
			return nil, err
		}
		begin := time.Now()
		if err := recipient.decode(proof, initiator.addr); err != nil {
			return nil, err
		}
		spent += time.Since(begin)
	}
	return result{"messages": count, "seconds": spent.Seconds()}, nil
}
