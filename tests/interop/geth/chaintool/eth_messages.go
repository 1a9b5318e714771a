package main

import (
	"math"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/forkid"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto/kzg4844"
	"github.com/ethereum/go-ethereum/eth/protocols/eth"
	"github.com/ethereum/go-ethereum/rlp"
)

var (
	all      = []int{69, 70, 71, 72}
	since70  = []int{70, 71, 72}
	since71  = []int{71, 72}
	before72 = []int{69, 70, 71}
)

// listed makes the list of a packet of what it holds.
func listed[T any](p *printer, items ...T) rlp.RawList[T] {
	list, err := rlp.EncodeToRawList(items)
	if err != nil && p.err == nil {
		p.err = err
	}
	return list
}

func ethMessages(p *printer) {
	sessionMessages(p)
	requests(p)
	answers(p)
	poolMessages(p)
	cellMessages(p)
}

func sessionMessages(p *printer) {
	for _, version := range all {
		for index, number := range numbers {
			p.message("Status", []int{version}, eth.StatusMsg, &eth.StatusPacket{
				ProtocolVersion: uint32(version), NetworkID: number, Genesis: digest(index),
				ForkID:        forkid.ID{Hash: [4]byte{byte(index), 0, 0xff, 1}, Next: number},
				EarliestBlock: number / 2, LatestBlock: number, LatestBlockHash: digest(index + 1),
			})
		}
	}
	for _, number := range numbers {
		p.message("BlockRangeUpdate", all, eth.BlockRangeUpdateMsg, &eth.BlockRangeUpdatePacket{
			EarliestBlock: number / 3, LatestBlock: number, LatestBlockHash: digest(int(number % 1000)),
		})
	}
}

func requests(p *printer) {
	for _, id := range ids {
		for _, origin := range []eth.HashOrNumber{{}, {Number: 1}, {Number: math.MaxUint64}, {Hash: digest(7)}} {
			for _, rest := range []eth.GetBlockHeadersRequest{{Amount: 1}, {Amount: 1024, Skip: 1, Reverse: true}, {Amount: math.MaxUint64, Skip: math.MaxUint64}} {
				rest.Origin = origin
				p.message("GetBlockHeaders", all, eth.GetBlockHeadersMsg, &eth.GetBlockHeadersPacket{RequestId: id, GetBlockHeadersRequest: &rest})
			}
		}
		for _, count := range []int{0, 1, 2, 300} {
			hashes := digests(count)
			p.message("GetBlockBodies", all, eth.GetBlockBodiesMsg, &eth.GetBlockBodiesPacket{RequestId: id, GetBlockBodiesRequest: hashes})
			p.message("GetReceipts69", []int{69}, eth.GetReceiptsMsg, &eth.GetReceiptsPacket69{RequestId: id, GetReceiptsRequest: hashes})
			p.message("GetReceipts", since70, eth.GetReceiptsMsg, &eth.GetReceiptsPacket70{RequestId: id, FirstBlockReceiptIndex: id / 2, GetReceiptsRequest: hashes})
			p.message("GetPooledTransactions", all, eth.GetPooledTransactionsMsg, &eth.GetPooledTransactionsPacket{RequestId: id, GetPooledTransactionsRequest: hashes})
			p.message("GetBlockAccessLists", since71, eth.GetBlockAccessListsMsg, &eth.GetBlockAccessListsPacket{RequestId: id, GetBlockAccessListsRequest: hashes})
		}
	}
}

func answers(p *printer) {
	headers, bodies, receipts := sampleHeaders(), sampleBodies(p), sampleReceipts()
	for _, id := range ids {
		p.message("BlockHeaders", all, eth.BlockHeadersMsg, &eth.BlockHeadersPacket{RequestId: id, List: listed[*types.Header](p)})
		p.message("BlockHeaders", all, eth.BlockHeadersMsg, &eth.BlockHeadersPacket{RequestId: id, List: listed(p, headers...)})
		p.message("BlockBodies", all, eth.BlockBodiesMsg, &eth.BlockBodiesPacket{RequestId: id, List: listed[eth.BlockBody](p)})
		p.message("BlockBodies", all, eth.BlockBodiesMsg, &eth.BlockBodiesPacket{RequestId: id, List: listed(p, bodies...)})
		for _, blocks := range [][]*eth.ReceiptList{{}, {eth.NewReceiptList(nil)}, {eth.NewReceiptList(receipts), eth.NewReceiptList(nil), eth.NewReceiptList(receipts[:1])}} {
			list := listed(p, blocks...)
			p.message("Receipts69", []int{69}, eth.ReceiptsMsg, &eth.ReceiptsPacket69{RequestId: id, List: list})
			p.message("Receipts", since70, eth.ReceiptsMsg, &eth.ReceiptsPacket70{RequestId: id, List: list})
			p.message("Receipts", since70, eth.ReceiptsMsg, &eth.ReceiptsPacket70{RequestId: id, LastBlockIncomplete: true, List: list})
		}
		// What is not available is the empty string; the empty list is a list without accounts (EIP-8159).
		encoded := p.encode(sampleAccessList())
		for _, lists := range [][]rlp.RawValue{{}, {rlp.EmptyString}, {rlp.EmptyList}, {encoded, rlp.EmptyString, rlp.EmptyList, encoded}} {
			p.message("BlockAccessLists", since71, eth.BlockAccessListsMsg, &eth.BlockAccessListPacket{RequestId: id, List: listed(p, lists...)})
		}
	}
}

func poolMessages(p *printer) {
	for _, txs := range [][]*types.Transaction{{}, sampleTransactions()[:1], sampleTransactions()} {
		p.message("Transactions", all, eth.TransactionsMsg, &eth.TransactionsPacket{RawList: listed(p, txs...)})
		for _, id := range ids {
			p.message("PooledTransactions", all, eth.PooledTransactionsMsg, &eth.PooledTransactionsPacket{RequestId: id, List: listed(p, txs...)})
		}
	}
	elided := []*types.Transaction{blobTransaction(2, elidedBlobs)}
	p.message("PooledTransactions", []int{72}, eth.PooledTransactionsMsg, &eth.PooledTransactionsPacket{RequestId: 5, List: listed(p, elided...)})
	whole := []*types.Transaction{blobTransaction(1, wholeBlobs)}
	p.message("PooledTransactions", before72, eth.PooledTransactionsMsg, &eth.PooledTransactionsPacket{RequestId: 5, List: listed(p, whole...)})
	for _, count := range []int{0, 1, 5, 300} {
		kinds, sizes := make([]byte, count), make([]uint32, count)
		for index := range kinds {
			kinds[index], sizes[index] = byte(index%5), uint32(index*index*index*7)
		}
		if count > 0 {
			kinds[0], sizes[0] = 0x7f, math.MaxUint32
		}
		hashes := digests(count)
		p.message("NewPooledTransactionHashes71", before72, eth.NewPooledTransactionHashesMsg, &eth.NewPooledTransactionHashesPacket71{Types: kinds, Sizes: sizes, Hashes: hashes})
		for _, mask := range []types.CustodyBitmap{{}, types.CustodyBitmapAll, types.CustodyBitmapData, types.NewCustodyBitmap([]uint64{0, 7, 8, 19, 127})} {
			p.message("NewPooledTransactionHashes", []int{72}, eth.NewPooledTransactionHashesMsg, &eth.NewPooledTransactionHashesPacket72{Types: kinds, Sizes: sizes, Hashes: hashes, Mask: mask})
		}
	}
}

func cellMessages(p *printer) {
	cell := func(seed int) (cell kzg4844.Cell) {
		copy(cell[:], filler(len(cell), seed))
		return cell
	}
	for _, id := range ids {
		for index, count := range []int{0, 1, 2, 64} {
			mask := []types.CustodyBitmap{{}, types.CustodyBitmapAll, types.NewCustodyBitmap([]uint64{0, 127}), types.CustodyBitmapData}[index]
			p.message("GetCells", []int{72}, eth.GetCellsMsg, &eth.GetCellsRequestPacket{RequestId: id, Hashes: digests(count), Mask: mask})
		}
		cells(p, id, types.CustodyBitmap{})
	}
	two := types.NewCustodyBitmap([]uint64{0, 127})
	cells(p, 3, two, []kzg4844.Cell{cell(1), cell(2)})
	cells(p, 4, two, []kzg4844.Cell{cell(1), cell(2), cell(3), cell(4)}, []kzg4844.Cell{cell(5), cell(6)})
}

// cells prints an answer with a group of cells for each transaction.
func cells(p *printer, id uint64, mask types.CustodyBitmap, groups ...[]kzg4844.Cell) {
	lists := []rlp.RawList[kzg4844.Cell]{}
	for _, group := range groups {
		lists = append(lists, listed(p, group...))
	}
	hashes := digests(len(groups))
	spelled := struct {
		RequestId uint64
		Hashes    []common.Hash
		Cells     [][]kzg4844.Cell
		Mask      types.CustodyBitmap
	}{id, hashes, groups, mask}
	p.spelled("Cells", []int{72}, eth.CellsMsg, &eth.CellsPacket{RequestId: id, Hashes: hashes, Cells: listed(p, lists...), Mask: mask}, &spelled)
}
