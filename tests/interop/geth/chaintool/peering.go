package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core"
	"github.com/ethereum/go-ethereum/core/txpool"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/crypto/kzg4844"
	"github.com/ethereum/go-ethereum/eth/protocols/eth"
	"github.com/ethereum/go-ethereum/eth/protocols/snap"
	"github.com/ethereum/go-ethereum/p2p"
	"github.com/ethereum/go-ethereum/p2p/enode"
)

// side is one side of sessions of eth and snap: go-ethereum's protocols over a chain, without anything that syncs or has a pool.
type side struct {
	chain  *core.BlockChain
	server *p2p.Server

	onEth      func(*eth.Peer)
	onSnap     func(*snap.Peer)
	snapAnswer func(snap.Packet)
}

// versionsOf reads a list of versions.
func versionsOf(text string) ([]uint, error) {
	found := []uint{}
	for _, part := range strings.FieldsFunc(text, func(r rune) bool { return r == ',' }) {
		version, err := strconv.ParseUint(part, 10, 8)
		if err != nil {
			return nil, fmt.Errorf("version %q: %v", part, err)
		}
		found = append(found, uint(version))
	}
	return found, nil
}

// start lets the side run, with those versions of its protocols that are wanted.
func (s *side) start(listen string, ethVersions, snapVersions []uint) error {
	key, err := crypto.GenerateKey()
	if err != nil {
		return err
	}
	protocols := eth.MakeProtocols(ethSide{s}, s.network(), nil)
	protocols = slices.DeleteFunc(protocols, func(p p2p.Protocol) bool { return !slices.Contains(ethVersions, p.Version) })
	more := snap.MakeProtocols(snapSide{s}, true)
	protocols = append(protocols, slices.DeleteFunc(more, func(p p2p.Protocol) bool { return !slices.Contains(snapVersions, p.Version) })...)
	s.server = &p2p.Server{Config: p2p.Config{
		PrivateKey: key, MaxPeers: 50, NoDiscovery: true, Name: "chaintool", ListenAddr: listen, Protocols: protocols,
	}}
	return s.server.Start()
}

func (s *side) network() uint64 { return s.chain.Config().ChainID.Uint64() }

// stop ends all sessions, and does not wait for connections in their handshake.
func (s *side) stop() {
	done, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	go func() {
		s.server.Stop()
		cancel()
	}()
	<-done.Done()
}

// blockRange is what Status says of the chain.
func (s *side) blockRange() eth.BlockRangeUpdatePacket {
	head := s.chain.CurrentBlock()
	return eth.BlockRangeUpdatePacket{LatestBlock: head.Number.Uint64(), LatestBlockHash: head.Hash()}
}

// ethSide is what go-ethereum's eth asks of us.
type ethSide struct{ *side }

func (s ethSide) Chain() *core.BlockChain          { return s.chain }
func (ethSide) TxPool() eth.TxPool                 { return noPool{} }
func (ethSide) BlobPool() eth.BlobPool             { return noPool{} }
func (ethSide) AcceptTxs() bool                    { return false }
func (ethSide) PeerInfo(enode.ID) interface{}      { return nil }
func (ethSide) Handle(*eth.Peer, eth.Packet) error { return nil }
func (s ethSide) RunPeer(p *eth.Peer, h eth.Handler) error {
	if err := p.Handshake(s.network(), s.chain, s.blockRange()); err != nil {
		return err
	}
	if s.onEth != nil {
		go s.onEth(p)
	}
	return h(p)
}

// snapSide is what go-ethereum's snap asks of us.
type snapSide struct{ *side }

func (s snapSide) Chain() *core.BlockChain     { return s.chain }
func (snapSide) PeerInfo(enode.ID) interface{} { return nil }
func (s snapSide) RunPeer(p *snap.Peer, h snap.Handler) error {
	if s.onSnap != nil {
		go s.onSnap(p)
	}
	return h(p)
}

func (s snapSide) Handle(_ *snap.Peer, packet snap.Packet) error {
	if s.snapAnswer != nil {
		s.snapAnswer(packet)
	}
	return nil
}

// noPool is a pool in which nothing ever is.
type noPool struct{}

func (noPool) Get(common.Hash) *types.Transaction          { return nil }
func (noPool) GetRLP(common.Hash, uint) []byte             { return nil }
func (noPool) GetMetadata(common.Hash) *txpool.TxMetadata  { return nil }
func (noPool) GetBlobHashes(common.Hash) []common.Hash     { return nil }
func (noPool) GetCustody(common.Hash) *types.CustodyBitmap { return nil }
func (noPool) Has(common.Hash) bool                        { return false }
func (noPool) GetBlobCells([]common.Hash, types.CustodyBitmap) ([][]*kzg4844.Cell, [][]*kzg4844.Proof, error) {
	return nil, nil, nil
}
