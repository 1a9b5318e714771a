package main

import (
	"bytes"
	"crypto/cipher"
	"crypto/ecdsa"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/crypto/ecies"
	"github.com/ethereum/go-ethereum/rlp"
	"golang.org/x/crypto/chacha20poly1305"
)

// Features and modes (section 1).
const (
	featChaCha = 1
	featMux    = 2
	featResume = 4
	featAES    = 64

	modeResumed  = 2
	modePrevious = 3

	eciesOverhead = 65 + 16 + 32
)

type params struct {
	ConnectionWindow, CapabilityWindow, Reassembly, Contexts, MaxFrame uint64
	Rest                                                               []rlp.RawValue `rlp:"tail"`
}

type token struct {
	ID     [16]byte
	Sealed [48]byte
}

type offer struct {
	Magic         string
	Features      uint64
	Share         [32]byte
	Tokens        []token
	Introductions []rlp.RawValue
	Params        params
}

type verdict struct {
	Resumption    uint64
	Introductions []uint64
	Rest          []rlp.RawValue `rlp:"tail"`
}

type accept struct {
	Magic    string
	Features uint64
	Share    [32]byte
	Mode     uint64
	Sealed   [][48]byte
	Verdict  verdict
	Params   params
	Rest     []rlp.RawValue `rlp:"tail"`
}

type authBody struct {
	Signature [65]byte
	PublicKey [64]byte
	Nonce     [32]byte
	Version   uint64
}

type ackBody struct {
	EphemeralKey [64]byte
	Nonce        [32]byte
	Version      uint64
	Rest         []rlp.RawValue `rlp:"tail"`
}

// agreed is what comes of a handshake.
type agreed struct {
	accept                         *accept // nil: the peer has not accepted
	i2r, r2i, resumption, exported []byte
}

// dial shakes hands as the initiator. secret is what an earlier session has left, or nil.
func dial(conn io.ReadWriter, key *ecdsa.PrivateKey, remote *ecdsa.PublicKey, features uint64, own params, secret []byte) (*agreed, error) {
	ephemeral, err := crypto.GenerateKey()
	if err != nil {
		return nil, err
	}
	static, err := shared(key, remote)
	if err != nil {
		return nil, err
	}
	body := authBody{Version: 4}
	rand.Read(body.Nonce[:])
	copy(body.PublicKey[:], crypto.FromECDSAPub(&key.PublicKey)[1:])
	signature, err := crypto.Sign(xor(static, body.Nonce[:]), ephemeral)
	if err != nil {
		return nil, err
	}
	copy(body.Signature[:], signature)

	ours := offer{Magic: "dpx1", Features: features, Tokens: []token{}, Introductions: []rlp.RawValue{}, Params: own}
	rand.Read(ours.Share[:])
	if secret != nil {
		ours.Tokens = append(ours.Tokens, sealOffer(secret, &body, ours.Share[:], features))
	}
	element := mustEncode(ours)
	specified := []any{body.Signature[:], body.PublicKey[:], body.Nonce[:], body.Version}
	plain := mustEncode(append(specified, rlp.RawValue(element)))
	plain = append(plain, make([]byte, 100)...) // EIP-8: anything may follow the list
	auth, err := encrypt(remote, plain)
	if err != nil {
		return nil, err
	}
	if _, err := conn.Write(auth); err != nil {
		return nil, err
	}

	ackPacket, ack, err := readAck(conn, key)
	if err != nil {
		return nil, err
	}
	theirs, err := findAccept(ack.Rest)
	if err != nil || theirs == nil {
		return &agreed{}, err
	}
	if theirs.Features&^features != 0 || theirs.Features&(featChaCha|featMux) != featChaCha|featMux {
		return nil, fmt.Errorf("accepted features %#x of %#x", theirs.Features, features)
	}
	remoteEphemeral, err := crypto.UnmarshalPubkey(append([]byte{4}, ack.EphemeralKey[:]...))
	if err != nil {
		return nil, err
	}
	es, err := shared(ephemeral, remoteEphemeral)
	if err != nil {
		return nil, err
	}
	old := make([]byte, 32)
	if theirs.Mode == modeResumed || theirs.Mode == modePrevious {
		if secret == nil || len(theirs.Sealed) != 1 || !opensAnswer(secret, theirs, ours.Tokens[0].Sealed[:], ack) {
			return nil, errors.New("it resumes what it has no secret of")
		}
		old = secret
	}
	th := crypto.Keccak256(auth, ackPacket)
	prk, err := hkdf.Extract(sha256.New, bytes.Join([][]byte{es, static, ours.Share[:], theirs.Share[:], old}, nil), th)
	if err != nil {
		return nil, err
	}
	label := func(name string) []byte { return expand(prk, "dpx1 "+name+string([]byte{byte(theirs.Mode)}), 32) }
	return &agreed{theirs, label("i2r"), label("r2i"), label("rms"), label("exp")}, nil
}

func encrypt(remote *ecdsa.PublicKey, plain []byte) ([]byte, error) {
	prefix := binary.BigEndian.AppendUint16(nil, uint16(len(plain)+eciesOverhead))
	sealed, err := ecies.Encrypt(rand.Reader, ecies.ImportECDSAPublic(remote), plain, nil, prefix)
	return append(prefix, sealed...), err
}

func readAck(conn io.Reader, key *ecdsa.PrivateKey) ([]byte, *ackBody, error) {
	prefix := make([]byte, 2)
	if _, err := io.ReadFull(conn, prefix); err != nil {
		return nil, nil, err
	}
	sealed := make([]byte, binary.BigEndian.Uint16(prefix))
	if _, err := io.ReadFull(conn, sealed); err != nil {
		return nil, nil, err
	}
	plain, err := ecies.ImportECDSA(key).Decrypt(sealed, nil, prefix)
	if err != nil {
		return nil, nil, err
	}
	var ack ackBody
	err = rlp.NewStream(bytes.NewReader(plain), 0).Decode(&ack) // which leaves what follows the list
	return append(prefix, sealed...), &ack, err
}

// findAccept takes the first list that begins with "dpx1".
func findAccept(elements []rlp.RawValue) (*accept, error) {
	for _, element := range elements {
		content, _, err := rlp.SplitList(element)
		if err != nil {
			continue
		}
		if magic, _, err := rlp.SplitString(content); err != nil || string(magic) != "dpx1" {
			continue
		}
		found := new(accept)
		return found, rlp.DecodeBytes(element, found)
	}
	return nil, nil
}

// Resumption (section 7).

func secretID(secret []byte) []byte { return expand(secret, "dpx1 id", 16) }

func sealOffer(secret []byte, body *authBody, share []byte, features uint64) token {
	bound := append(mustEncode(body), mustEncode(features)...)
	made := token{}
	copy(made.ID[:], secretID(secret))
	copy(made.Sealed[:], chacha(expand(secret, "dpx1 kek i", 32)).Seal(nil, body.Nonce[:12], share, bound))
	return made
}

func opensAnswer(secret []byte, theirs *accept, sealedOffer []byte, ack *ackBody) bool {
	specified := mustEncode([]any{ack.EphemeralKey[:], ack.Nonce[:], ack.Version})
	bound := append(bytes.Clone(sealedOffer), specified...)
	opened, err := chacha(expand(secret, "dpx1 kek r", 32)).Open(nil, ack.Nonce[:12], theirs.Sealed[0][:], bound)
	return err == nil && bytes.Equal(opened, theirs.Share[:])
}

// Small things

func shared(key *ecdsa.PrivateKey, other *ecdsa.PublicKey) ([]byte, error) {
	return ecies.ImportECDSA(key).GenerateShared(ecies.ImportECDSAPublic(other), 16, 16)
}

func expand(key []byte, info string, size int) []byte {
	made, err := hkdf.Expand(sha256.New, key, info, size)
	if err != nil {
		panic(err)
	}
	return made
}

func chacha(key []byte) cipher.AEAD {
	made, err := chacha20poly1305.New(key)
	if err != nil {
		panic(err)
	}
	return made
}

func mustEncode(value any) []byte {
	data, err := rlp.EncodeToBytes(value)
	if err != nil {
		panic(err)
	}
	return data
}

func xor(left, right []byte) []byte {
	made := make([]byte, len(left))
	for i := range made {
		made[i] = left[i] ^ right[i]
	}
	return made
}
