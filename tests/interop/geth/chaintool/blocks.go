package main

import (
	"bytes"
	"math"
	"math/big"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/core/types/bal"
	"github.com/ethereum/go-ethereum/eth/protocols/eth"
	"github.com/ethereum/go-ethereum/rlp"
	"github.com/ethereum/go-ethereum/trie"
	"github.com/holiman/uint256"
)

// sampleHeaders has one header of each shape that headers have had, and the edges of their numbers.
func sampleHeaders() []*types.Header {
	number := func(value uint64) *uint64 { return &value }
	hash := func(seed int) *common.Hash { value := digest(seed); return &value }
	first := &types.Header{
		ParentHash: digest(1), UncleHash: types.EmptyUncleHash, Coinbase: common.BytesToAddress(filler(20, 1)), Root: digest(2), TxHash: digest(3),
		ReceiptHash: digest(4), Bloom: types.BytesToBloom(filler(256, 5)), Difficulty: big.NewInt(131072), Number: big.NewInt(0), GasLimit: 5000,
		Extra: []byte("chaintool"), MixDigest: digest(6), Nonce: types.EncodeNonce(42),
	}
	found := []*types.Header{first}
	for _, change := range []func(*types.Header){
		func(header *types.Header) {
			header.Extra, header.Difficulty = []byte{}, new(big.Int).Lsh(big.NewInt(3), 200)
			header.Number, header.GasLimit, header.GasUsed, header.Time = new(big.Int).SetUint64(math.MaxUint64), math.MaxUint64, math.MaxUint64, math.MaxUint64
		},
		func(header *types.Header) { header.BaseFee = big.NewInt(1e9) },
		func(header *types.Header) { header.BaseFee, header.Difficulty = big.NewInt(0), big.NewInt(0) },
		func(header *types.Header) { header.WithdrawalsHash = &types.EmptyWithdrawalsHash },
		func(header *types.Header) {
			header.BlobGasUsed, header.ExcessBlobGas, header.ParentBeaconRoot = number(0), number(math.MaxUint64), hash(7)
		},
		func(header *types.Header) { header.RequestsHash = &types.EmptyRequestsHash },
		func(header *types.Header) { header.BlockAccessListHash, header.SlotNumber = hash(8), number(564) },
	} {
		next := types.CopyHeader(found[len(found)-1])
		next.Number = big.NewInt(int64(len(found)))
		change(next)
		found = append(found, next)
	}
	return found
}

func sampleBodies(p *printer) []eth.BlockBody {
	withdrawals := []*types.Withdrawal{
		{Index: 0, Validator: 0, Address: common.Address{}, Amount: 0},
		{Index: math.MaxUint64, Validator: 128, Address: common.BytesToAddress(filler(20, 9)), Amount: math.MaxUint64},
	}
	none, some := listed[*types.Withdrawal](p), listed(p, withdrawals...)
	return []eth.BlockBody{
		{Transactions: listed[*types.Transaction](p), Uncles: listed[*types.Header](p)},
		{Transactions: listed(p, sampleTransactions()...), Uncles: listed(p, sampleHeaders()[:2]...)},
		{Transactions: listed(p, sampleTransactions()...), Uncles: listed[*types.Header](p), Withdrawals: &none},
		{Transactions: listed(p, sampleTransactions()[:1]...), Uncles: listed[*types.Header](p), Withdrawals: &some},
	}
}

func sampleReceipts() []*types.Receipt {
	logs := func(seed int) []*types.Log {
		found := []*types.Log{}
		for count := range 5 {
			found = append(found, &types.Log{Address: common.BytesToAddress(filler(20, seed+count)), Topics: digests(count), Data: filler(count*33, seed)})
		}
		return found
	}
	found := []*types.Receipt{
		{Type: types.LegacyTxType, PostState: digest(1).Bytes(), CumulativeGasUsed: 21000, Logs: logs(1)},
		{Type: types.LegacyTxType, Status: types.ReceiptStatusSuccessful, CumulativeGasUsed: 42000},
		{Type: types.LegacyTxType, Status: types.ReceiptStatusFailed, CumulativeGasUsed: 42001},
		{Type: types.AccessListTxType, Status: types.ReceiptStatusSuccessful, CumulativeGasUsed: 1 << 30, Logs: logs(2)},
		{Type: types.DynamicFeeTxType, Status: types.ReceiptStatusFailed, CumulativeGasUsed: 1 << 31},
		{Type: types.BlobTxType, Status: types.ReceiptStatusSuccessful, CumulativeGasUsed: 1 << 32, Logs: logs(3)[:1]},
		{Type: types.SetCodeTxType, Status: types.ReceiptStatusSuccessful, CumulativeGasUsed: math.MaxUint64, Logs: logs(4)},
	}
	for _, receipt := range found {
		receipt.Bloom = types.CreateBloom(receipt)
	}
	return found
}

// anything is a list of which only the root matters.
type anything [][]byte

func (list anything) Len() int                                { return len(list) }
func (list anything) EncodeIndex(index int, to *bytes.Buffer) { to.Write(list[index]) }

// blockParts prints headers, bodies and receipts with their hashes, and the roots of lists.
func blockParts(p *printer) {
	for _, header := range sampleHeaders() {
		p.line("header", map[string]any{"rlp": hexed(p.encode(header)), "hash": header.Hash(), "fields": header})
	}
	for _, body := range sampleBodies(p) {
		txs, err := body.Transactions.Items()
		if err != nil && p.err == nil {
			p.err = err
		}
		uncles, err := body.Uncles.Items()
		if err != nil && p.err == nil {
			p.err = err
		}
		fields := map[string]any{
			"rlp": hexed(p.encode(&body)), "transactions": types.DeriveSha(types.Transactions(txs), trie.NewStackTrie(nil)),
			"ommers": types.CalcUncleHash(uncles), "withdrawals": nil,
		}
		if body.Withdrawals != nil {
			withdrawals, err := body.Withdrawals.Items()
			if err != nil && p.err == nil {
				p.err = err
			}
			fields["withdrawals"] = types.DeriveSha(types.Withdrawals(withdrawals), trie.NewStackTrie(nil))
		}
		p.line("body", fields)
	}
	all := sampleReceipts()
	for _, receipts := range [][]*types.Receipt{{}, all[:1], all} {
		network, consensus, blooms := []string{}, []string{}, []string{}
		for _, receipt := range receipts {
			one, err := receipt.MarshalBinary()
			if err != nil && p.err == nil {
				p.err = err
			}
			list := p.encode(eth.NewReceiptList([]*types.Receipt{receipt}))
			content, _, err := rlp.SplitList(list)
			if err != nil && p.err == nil {
				p.err = err
			}
			network, consensus, blooms = append(network, hexed(content)), append(consensus, hexed(one)), append(blooms, hexed(receipt.Bloom[:]))
		}
		root := types.DeriveSha(types.Receipts(receipts), trie.NewStackTrie(nil))
		p.line("receipts", map[string]any{"network": network, "consensus": consensus, "blooms": blooms, "root": root})
	}
	for _, count := range []int{0, 1, 2, 16, 17, 127, 128, 129, 256, 257, 300} {
		list := anything{}
		for index := range count {
			list = append(list, filler(1+index%90, index))
		}
		p.line("list", map[string]any{"count": count, "root": types.DeriveSha(list, trie.NewStackTrie(nil))})
	}
}

// The fields of a block access list (EIP-7928), in a form in which it can be made wrong.
type (
	listedAccount struct {
		Address  common.Address
		Changes  []listedSlot
		Reads    []*uint256.Int
		Balances []listedNumber
		Nonces   []listedNonce
		Codes    []listedCode
	}
	listedSlot struct {
		Slot   *uint256.Int
		Writes []listedNumber
	}
	listedNumber struct {
		Index uint32
		Value *uint256.Int
	}
	listedNonce struct {
		Index uint32
		Nonce uint64
	}
	listedCode struct {
		Index uint32
		Code  []byte
	}
)

func sampleAccessList() []listedAccount {
	number := uint256.NewInt
	most := new(uint256.Int).Not(number(0))
	return []listedAccount{
		{Address: common.HexToAddress("0x01")},
		{
			Address: common.HexToAddress("0x02"), Changes: []listedSlot{
				{number(0), []listedNumber{{0, number(0)}, {1, number(128)}, {3, most}}}, {most, []listedNumber{{2, number(1)}}},
			},
			Reads: []*uint256.Int{number(1), number(2), number(1 << 40)}, Balances: []listedNumber{{0, number(0)}, {2, most}},
			Nonces: []listedNonce{{1, 1}, {2, math.MaxUint64}}, Codes: []listedCode{{2, filler(1000, 1)}, {3, []byte{}}},
		},
		{Address: common.HexToAddress("0xff00000000000000000000000000000000000000"), Reads: []*uint256.Int{number(0)}},
	}
}

// accessLists prints block access lists, good and bad, and go-ethereum's verdict about each.
func accessLists(p *printer) {
	const gasLimit, count = 100_000_000, 3
	number := uint256.NewInt
	for name, change := range map[string]func([]listedAccount) any{
		"as it should be":         func(list []listedAccount) any { return list },
		"nothing":                 func([]listedAccount) any { return []listedAccount{} },
		"accounts out of order":   func(list []listedAccount) any { return []listedAccount{list[1], list[0]} },
		"an account twice":        func(list []listedAccount) any { return []listedAccount{list[0], list[0]} },
		"slots out of order":      func(list []listedAccount) any { s := list[1].Changes; s[0], s[1] = s[1], s[0]; return list },
		"a slot without writes":   func(list []listedAccount) any { list[1].Changes[0].Writes = nil; return list },
		"writes out of order":     func(list []listedAccount) any { w := list[1].Changes[0].Writes; w[0], w[1] = w[1], w[0]; return list },
		"a write twice":           func(list []listedAccount) any { w := list[1].Changes[0].Writes; w[1].Index = w[0].Index; return list },
		"an index behind all":     func(list []listedAccount) any { list[1].Changes[1].Writes[0].Index = count + 2; return list },
		"the last index":          func(list []listedAccount) any { list[1].Changes[1].Writes[0].Index = count + 1; return list },
		"reads out of order":      func(list []listedAccount) any { r := list[1].Reads; r[0], r[1] = r[1], r[0]; return list },
		"a read twice":            func(list []listedAccount) any { list[1].Reads[1] = list[1].Reads[0]; return list },
		"a slot read and written": func(list []listedAccount) any { list[1].Reads[0] = number(0); return list },
		"balances out of order":   func(list []listedAccount) any { b := list[1].Balances; b[0], b[1] = b[1], b[0]; return list },
		"nonces out of order":     func(list []listedAccount) any { n := list[1].Nonces; n[0], n[1] = n[1], n[0]; return list },
		"codes out of order":      func(list []listedAccount) any { c := list[1].Codes; c[0], c[1] = c[1], c[0]; return list },
		"too large a code":        func(list []listedAccount) any { list[1].Codes[0].Code = make([]byte, 65537); return list },
		"the largest code":        func(list []listedAccount) any { list[1].Codes[0].Code = make([]byte, 65536); return list },
		"a string for a list":     func([]listedAccount) any { return []byte{1, 2, 3} },
		"a short address":         func([]listedAccount) any { return [][]any{{[]byte{1}, []any{}, []any{}, []any{}, []any{}, []any{}}} },
		"five fields":             func([]listedAccount) any { return [][]any{{common.Address{}, []any{}, []any{}, []any{}, []any{}}} },
		"seven fields": func([]listedAccount) any {
			return [][]any{{common.Address{}, []any{}, []any{}, []any{}, []any{}, []any{}, []any{}}}
		},
		"a number of 33 bytes": func([]listedAccount) any {
			return [][]any{{common.Address{}, []any{}, [][]byte{filler(33, 1)}, []any{}, []any{}, []any{}}}
		},
		"a number with a zero before": func([]listedAccount) any {
			return [][]any{{common.Address{}, []any{}, [][]byte{{0, 1}}, []any{}, []any{}, []any{}}}
		},
	} {
		encoded := p.encode(change(sampleAccessList()))
		var list bal.BlockAccessList
		err := rlp.DecodeBytes(encoded, &list)
		if err == nil {
			err = list.Validate(gasLimit, count)
		}
		fields := map[string]any{"name": name, "rlp": hexed(encoded), "gas_limit": gasLimit, "transactions": count, "fault": nil}
		if err != nil {
			fields["fault"] = err.Error()
		} else {
			fields["hash"] = list.Hash()
		}
		p.line("accessList", fields)
	}
	list := sampleAccessList() // nine items, and 2000 gas for each is what limits that
	for _, limit := range []uint64{17_999, 18_000} {
		var decoded bal.BlockAccessList
		if err := rlp.DecodeBytes(p.encode(list), &decoded); err != nil && p.err == nil {
			p.err = err
		}
		fields := map[string]any{"name": "a limit", "rlp": hexed(p.encode(list)), "gas_limit": limit, "transactions": count, "fault": nil}
		if err := decoded.Validate(limit, count); err != nil {
			fields["fault"] = err.Error()
		} else {
			fields["hash"] = decoded.Hash()
		}
		p.line("accessList", fields)
	}
}
