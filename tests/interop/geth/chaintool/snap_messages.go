package main

import (
	"math"
	"math/big"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/eth/protocols/snap"
	"github.com/ethereum/go-ethereum/rlp"
	"github.com/holiman/uint256"
)

var (
	snapBoth = []int{1, 2}
	snap1    = []int{1}
	snap2    = []int{2}
)

// sampleAccounts are accounts with and without code and storage, from nothing to the largest numbers.
func sampleAccounts() []types.StateAccount {
	most := new(uint256.Int).Sub(new(uint256.Int), uint256.NewInt(1))
	return []types.StateAccount{
		{Nonce: 0, Balance: new(uint256.Int), Root: types.EmptyRootHash, CodeHash: types.EmptyCodeHash[:]},
		{Nonce: 1, Balance: uint256.NewInt(128), Root: types.EmptyRootHash, CodeHash: digest(1).Bytes()},
		{Nonce: math.MaxUint64, Balance: most, Root: digest(2), CodeHash: digest(3).Bytes()},
		{Nonce: 7, Balance: uint256.MustFromBig(new(big.Int).Lsh(big.NewInt(1), 70)), Root: digest(4), CodeHash: types.EmptyCodeHash[:]},
	}
}

func snapMessages(p *printer) {
	for _, account := range sampleAccounts() {
		p.line("account", map[string]any{
			"nonce": account.Nonce, "balance": account.Balance.Dec(), "root": account.Root, "codeHash": common.BytesToHash(account.CodeHash),
			"slim": hexed(types.SlimAccountRLP(account)), "full": hexed(p.encode(&account)),
		})
	}
	snapRequests(p)
	snapAnswers(p)
}

func snapRequests(p *printer) {
	for _, id := range ids {
		for _, limit := range numbers {
			p.message("GetAccountRange", snapBoth, snap.GetAccountRangeMsg, &snap.GetAccountRangePacket{ID: id, Root: digest(1), Origin: common.Hash{}, Limit: common.MaxHash, Bytes: limit})
		}
		for _, edges := range [][2][]byte{{{}, {}}, {digest(1).Bytes(), {}}, {make([]byte, 32), common.MaxHash[:]}} {
			for _, count := range []int{0, 1, 130} {
				p.message("GetStorageRanges", snapBoth, snap.GetStorageRangesMsg, &snap.GetStorageRangesPacket{
					ID: id, Root: digest(9), Accounts: digests(count), Origin: edges[0], Limit: edges[1], Bytes: id,
				})
			}
		}
		for _, count := range []int{0, 1, 85} {
			p.message("GetByteCodes", snapBoth, snap.GetByteCodesMsg, &snap.GetByteCodesPacket{ID: id, Hashes: digests(count), Bytes: 4096})
			p.message("GetBlockAccessLists", snap2, snap.GetAccessListsMsg, &snap.GetAccessListsPacket{ID: id, Hashes: digests(count), Bytes: math.MaxUint64})
		}
		for _, paths := range [][][][]byte{{}, {{{0}}}, {{{}}}, {{{0x1f}, {0}, {0x20, 1}}, {digest(1).Bytes(), {0x00, 0xff}}}} {
			sets := []snap.TrieNodePathSet{}
			for _, set := range paths {
				sets = append(sets, set)
			}
			spelled := struct {
				ID    uint64
				Root  common.Hash
				Paths [][][]byte
				Bytes uint64
			}{id, digest(2), paths, 2 << 20}
			packet := &snap.GetTrieNodesPacket{ID: id, Root: digest(2), Paths: listed(p, sets...), Bytes: 2 << 20}
			p.spelled("GetTrieNodes", snap1, snap.GetTrieNodesMsg, packet, &spelled)
		}
	}
}

func snapAnswers(p *printer) {
	accounts := []*snap.AccountData{}
	for index, account := range sampleAccounts() {
		accounts = append(accounts, &snap.AccountData{Hash: digest(index), Body: types.SlimAccountRLP(account)})
	}
	proof := [][]byte{filler(532, 1), filler(33, 2), {}}
	slots := []*snap.StorageData{{Hash: digest(1), Body: []byte{2}}, {Hash: digest(2), Body: p.encode(digest(3))}, {Hash: digest(3), Body: []byte{0x81, 0x80}}}
	encoded := p.encode(sampleAccessList())
	for _, id := range ids {
		p.message("AccountRange", snapBoth, snap.AccountRangeMsg, &snap.AccountRangePacket{ID: id})
		p.message("AccountRange", snapBoth, snap.AccountRangeMsg, &snap.AccountRangePacket{ID: id, Accounts: accounts, Proof: proof})
		p.message("StorageRanges", snapBoth, snap.StorageRangesMsg, &snap.StorageRangesPacket{ID: id})
		p.message("StorageRanges", snapBoth, snap.StorageRangesMsg, &snap.StorageRangesPacket{ID: id, Slots: [][]*snap.StorageData{slots, {}, slots[:1]}, Proof: proof[:1]})
		p.message("ByteCodes", snapBoth, snap.ByteCodesMsg, &snap.ByteCodesPacket{ID: id})
		p.message("ByteCodes", snapBoth, snap.ByteCodesMsg, &snap.ByteCodesPacket{ID: id, Codes: [][]byte{{}, {0}, {0x80}, filler(24576, 3)}})
		p.message("TrieNodes", snap1, snap.TrieNodesMsg, &snap.TrieNodesPacket{ID: id})
		p.message("TrieNodes", snap1, snap.TrieNodesMsg, &snap.TrieNodesPacket{ID: id, Nodes: proof})
		for _, lists := range [][]rlp.RawValue{{}, {rlp.EmptyString, encoded, rlp.EmptyList}} {
			p.message("BlockAccessLists", snap2, snap.AccessListsMsg, &snap.AccessListsPacket{ID: id, AccessLists: listed(p, lists...)})
		}
	}
}
