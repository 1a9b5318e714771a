package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/ethereum/go-ethereum/crypto"
	p2pcrypto "github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	libp2ptls "github.com/libp2p/go-libp2p/p2p/security/tls"
)

const alpn = "devp2p/1"

var _ = register("tls", transport{dial: dialTLS, listen: listenTLS})

// nodeConfig is a configuration of crypto/tls whose certificates go-libp2p makes and judges; the channel gives the peer's key once that is
// done. QUIC has the same.
func nodeConfig(o options) (*tls.Config, <-chan p2pcrypto.PubKey, error) {
	key, err := p2pcrypto.UnmarshalSecp256k1PrivateKey(crypto.FromECDSA(o.key))
	if err != nil {
		return nil, nil, err
	}
	identity, err := libp2ptls.NewIdentity(key)
	if err != nil {
		return nil, nil, err
	}
	var wanted peer.ID // empty: anybody
	if o.expect != nil {
		theirs, err := p2pcrypto.UnmarshalSecp256k1PublicKey(crypto.CompressPubkey(o.expect))
		if err != nil {
			return nil, nil, err
		}
		if wanted, err = peer.IDFromPublicKey(theirs); err != nil {
			return nil, nil, err
		}
	}
	config, keys := identity.ConfigForPeer(wanted)
	config.NextProtos = []string{alpn}
	switch o.fault {
	case "":
	case "alpn":
		config.NextProtos = []string{"h2"}
	case "no-alpn":
		config.NextProtos = nil
	case "no-certificate":
		config.Certificates = nil
	case "two-certificates":
		config.Certificates[0].Certificate = append(config.Certificates[0].Certificate, config.Certificates[0].Certificate[0])
	case "stolen-certificate": // somebody's, without its key
		config.Certificates[0].PrivateKey, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return nil, nil, err
		}
	case "tls1.2":
		config.MinVersion, config.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
	case "ed25519":
		other, _, err := p2pcrypto.GenerateEd25519Key(nil)
		if err != nil {
			return nil, nil, err
		}
		identity, err := libp2ptls.NewIdentity(other)
		if err != nil {
			return nil, nil, err
		}
		made, _ := identity.ConfigForPeer("")
		config.Certificates = made.Certificates
	default:
		return nil, nil, fmt.Errorf("no such fault of TLS: %q", o.fault)
	}
	return config, keys, nil
}

// provedKey takes the key that go-libp2p has found.
func provedKey(keys <-chan p2pcrypto.PubKey) (*ecdsa.PublicKey, error) {
	found, ok := <-keys
	if !ok {
		return nil, errors.New("go-libp2p found no key in the certificate")
	}
	raw, err := found.Raw()
	if err != nil {
		return nil, err
	}
	return crypto.DecompressPubkey(raw)
}

func secured(made *tls.Conn, keys <-chan p2pcrypto.PubKey, initiator bool) (*link, error) {
	within, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := made.HandshakeContext(within); err != nil {
		made.NetConn().Close()
		return nil, err
	}
	if agreed := made.ConnectionState().NegotiatedProtocol; agreed != alpn {
		made.Close()
		return nil, fmt.Errorf("the ALPN agreed on is %q", agreed)
	}
	proved, err := provedKey(keys)
	if err != nil {
		made.Close()
		return nil, err
	}
	return &link{stream: made, peer: proved, initiator: initiator}, nil
}

func dialTLS(o options) (*link, error) {
	config, keys, err := nodeConfig(o)
	if err != nil {
		return nil, err
	}
	under, err := net.DialTimeout("tcp", o.address, 5*time.Second)
	if err != nil {
		return nil, err
	}
	made := tls.Client(under, config)
	if o.fault == "" {
		return secured(made, keys, true)
	}
	// It breaks a rule, and wants to hear what the other side says to it.
	if err := made.Handshake(); err != nil {
		return nil, err
	}
	_ = made.SetReadDeadline(time.Now().Add(patience))
	if _, err := made.Read(make([]byte, 1)); err != nil {
		return nil, err
	}
	return nil, errors.New("the node goes on as if nothing were wrong")
}

func listenTLS(o options) (string, func() (pending, error), error) {
	listener, err := net.Listen("tcp", o.address)
	if err != nil {
		return "", nil, err
	}
	accept := func() (pending, error) {
		under, err := listener.Accept()
		if err != nil {
			return nil, err
		}
		return func() (*link, error) {
			config, keys, err := nodeConfig(o)
			if err != nil {
				return nil, err
			}
			return secured(tls.Server(under, config), keys, false)
		}, nil
	}
	return listener.Addr().String(), accept, nil
}
