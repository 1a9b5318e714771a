package main

import (
	"cmp"
	"math/big"
	"slices"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core"
	"github.com/ethereum/go-ethereum/core/forkid"
	"github.com/ethereum/go-ethereum/core/rawdb"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/params"
	"github.com/ethereum/go-ethereum/trie"
	"github.com/ethereum/go-ethereum/trie/trienode"
	"github.com/ethereum/go-ethereum/triedb"
)

// place is a chain that stands at some block, for forkid.NewFilter.
type place struct {
	config  *params.ChainConfig
	genesis *types.Block
	head    *types.Header
}

func (p place) Config() *params.ChainConfig  { return p.config }
func (p place) Genesis() *types.Block        { return p.genesis }
func (p place) CurrentHeader() *types.Header { return p.head }

// forkIDs prints the fork ids of the public networks around each of their forks, and what a node at each of these places makes of each.
func forkIDs(p *printer) {
	for name, genesis := range map[string]*core.Genesis{
		"mainnet": core.DefaultGenesisBlock(), "sepolia": core.DefaultSepoliaGenesisBlock(), "hoodi": core.DefaultHoodiGenesisBlock(),
	} {
		block := genesis.ToBlock()
		heads, ids := forkPlaces(p, name, genesis.Config, block)
		slices.SortFunc(ids, func(a, b forkid.ID) int {
			return cmp.Or(slices.Compare(a.Hash[:], b.Hash[:]), cmp.Compare(a.Next, b.Next))
		})
		ids = append(slices.Compact(ids), forkid.ID{Hash: [4]byte{1, 2, 3, 4}}, forkid.ID{Hash: ids[0].Hash, Next: 1 << 40})
		for _, head := range heads {
			filter := forkid.NewFilter(place{genesis.Config, block, &types.Header{Number: new(big.Int).SetUint64(head[0]), Time: head[1]}})
			for _, id := range ids {
				verdict := ""
				if err := filter(id); err != nil {
					verdict = err.Error()
				}
				p.line("forkFilter", map[string]any{
					"network": name, "number": head[0], "timestamp": head[1], "hash": hexed(id.Hash[:]), "next": id.Next, "verdict": verdict,
				})
			}
		}
	}
}

// forkPlaces prints the fork id before and at each fork that a network has had; the places, and the ids with their next fork and without.
func forkPlaces(p *printer, name string, config *params.ChainConfig, genesis *types.Block) (heads [][2]uint64, ids []forkid.ID) {
	now := genesis.Time()
	add := func(number, timestamp uint64) {
		id := forkid.NewID(config, genesis, number, timestamp)
		heads, ids = append(heads, [2]uint64{number, timestamp}), append(ids, id, forkid.ID{Hash: id.Hash})
		p.line("forkId", map[string]any{"network": name, "number": number, "timestamp": timestamp, "hash": hexed(id.Hash[:]), "next": id.Next})
	}
	add(0, now)
	number := uint64(0)
	for {
		next := forkid.NewID(config, genesis, number, now).Next
		if next == 0 {
			break
		}
		if next >= genesis.Time() && next > 1_000_000_000 { // a time, not the number of a block
			add(number, next-1)
			now = next
		} else {
			add(next-1, now)
			number = next
		}
		add(number, now)
	}
	add(number+1_000_000, now+10_000_000)
	return heads, ids
}

// leaf is what stands in a trie under a key.
type leaf struct {
	key, value []byte
}

// sampleTrie has count leaves with keys that look random; every third value is so short that its node stands in its parent.
func sampleTrie(p *printer, count int, short bool) (*trie.Trie, []leaf) {
	found := []leaf{}
	for index := range count {
		size := 70
		if short || index%3 == 0 {
			size = 1 + index%3
		}
		key := digest(index + 1000)
		if index%10 == 9 { // neighbours that share most of their path
			copy(key[:20], found[index-1].key)
		}
		found = append(found, leaf{key.Bytes(), filler(size, index)})
	}
	made := trie.NewEmpty(triedb.NewDatabase(rawdb.NewMemoryDatabase(), triedb.HashDefaults))
	for _, leaf := range found {
		made.MustUpdate(leaf.key, leaf.value)
	}
	slices.SortFunc(found, func(a, b leaf) int { return slices.Compare(a.key, b.key) })
	return made, found
}

// claim is what a peer might send as a range of a trie.
type claim struct {
	name   string
	start  []byte
	leaves []leaf
	proof  [][]byte // none if the leaves are the whole trie
}

// honest is the claim of a good server for leaves[from:to], asked from start on.
func honest(p *printer, made *trie.Trie, name string, start []byte, leaves []leaf) claim {
	proof := trienode.NewProofSet()
	if err := made.Prove(start, proof); err != nil && p.err == nil {
		p.err = err
	}
	if len(leaves) > 0 {
		if err := made.Prove(leaves[len(leaves)-1].key, proof); err != nil && p.err == nil {
			p.err = err
		}
	}
	return claim{name, start, leaves, proof.List()}
}

// verdict is printed with a claim, whatever it is: go-ethereum says that it is wrong, or whether there is more behind it.
func (c claim) print(p *printer, root common.Hash) {
	keys, values, leaves := [][]byte{}, [][]byte{}, [][2]string{}
	for _, leaf := range c.leaves {
		keys, values, leaves = append(keys, leaf.key), append(values, leaf.value), append(leaves, [2]string{hexed(leaf.key), hexed(leaf.value)})
	}
	var more bool
	var err error
	fields := map[string]any{"name": c.name, "root": root, "start": hexed(c.start), "leaves": leaves, "proof": nil, "fault": nil}
	if len(c.proof) == 0 { // on the wire these are the same
		more, err = trie.VerifyRangeProof(root, nil, keys, values, nil)
	} else {
		nodes, listed := trienode.ProofList{}, []string{}
		for _, node := range c.proof {
			nodes, listed = append(nodes, node), append(listed, hexed(node))
		}
		fields["proof"] = listed
		more, err = trie.VerifyRangeProof(root, c.start, keys, values, nodes.Set())
	}
	fields["more"] = more
	if err != nil {
		fields["fault"] = err.Error()
	}
	p.line("range", fields)
}

// rangeProofs prints ranges of tries with their proofs, honest ones and lies, and go-ethereum's verdict about each.
func rangeProofs(p *printer) {
	for _, shape := range []struct {
		count int
		short bool
	}{{1, false}, {1, true}, {2, false}, {17, true}, {60, false}, {400, false}} {
		made, leaves := sampleTrie(p, shape.count, shape.short)
		root := made.Hash()
		zero, last := make([]byte, 32), leaves[len(leaves)-1]
		claim{"all without a proof", zero, leaves, nil}.print(p, root)
		claim{"all but one without a proof", zero, leaves[1:], nil}.print(p, root)
		honest(p, made, "all with a proof", zero, leaves).print(p, root)
		honest(p, made, "nothing behind the last", common.MaxHash[:], nil).print(p, root)
		honest(p, made, "nothing, though there is something", zero, nil).print(p, root)
		honest(p, made, "the last alone", last.key, leaves[len(leaves)-1:]).print(p, root)
		honest(p, made, "another root", zero, leaves).print(p, digest(1))
		for _, from := range []int{0, len(leaves) / 3, len(leaves) / 2} {
			to := min(len(leaves), from+12)
			part := leaves[from:to]
			for _, start := range [][]byte{part[0].key, before(part[0].key)} {
				good := honest(p, made, "a part", start, part)
				good.print(p, root)
				for _, lie := range lies(good, leaves, from, to) {
					lie.print(p, root)
				}
			}
		}
	}
}

// before is the key one below.
func before(key []byte) []byte {
	number := new(big.Int).SetBytes(key)
	return number.Sub(number, common.Big1).FillBytes(make([]byte, 32))
}

func lies(good claim, leaves []leaf, from, to int) []claim {
	with := func(name string, change func(*claim)) claim {
		lie := claim{name, good.start, slices.Clone(good.leaves), slices.Clone(good.proof)}
		change(&lie)
		return lie
	}
	middle := len(good.leaves) / 2
	found := []claim{
		with("another value", func(lie *claim) { lie.leaves[middle].value = []byte("another") }),
		with("an empty value", func(lie *claim) { lie.leaves[middle].value = []byte{} }),
		with("another key", func(lie *claim) {
			key := slices.Clone(lie.leaves[middle].key)
			key[31] ^= 1
			lie.leaves[middle].key = key
		}),
		with("without the first", func(lie *claim) { lie.leaves = lie.leaves[1:] }),
		with("without one in the middle", func(lie *claim) { lie.leaves = slices.Delete(lie.leaves, middle, middle+1) }),
		with("without the last", func(lie *claim) { lie.leaves = lie.leaves[:len(lie.leaves)-1] }),
		with("the last twice", func(lie *claim) { lie.leaves = append(lie.leaves, lie.leaves[len(lie.leaves)-1]) }),
		with("backwards", func(lie *claim) { slices.Reverse(lie.leaves) }),
		with("a node too many", func(lie *claim) { lie.proof = append(lie.proof, filler(40, 1)) }),
		with("proof backwards", func(lie *claim) { slices.Reverse(lie.proof) }),
		with("a later start", func(lie *claim) { lie.start = lie.leaves[len(lie.leaves)-1].key }),
	}
	if from > 0 || to < len(leaves) { // of a whole trie none is needed
		found = append(found, with("no proof", func(lie *claim) { lie.proof = nil }))
	}
	for index := range good.proof {
		found = append(found, with("a node too few", func(lie *claim) { lie.proof = slices.Delete(lie.proof, index, index+1) }))
		found = append(found, with("a node that was changed", func(lie *claim) {
			node := slices.Clone(lie.proof[index])
			node[len(node)/2] ^= 1
			lie.proof[index] = node
		}))
	}
	if from > 0 {
		found = append(found, with("one more before the start", func(lie *claim) { lie.leaves = slices.Insert(lie.leaves, 0, leaves[from-1]) }))
	}
	if to < len(leaves) {
		found = append(found, with("one more behind the end", func(lie *claim) { lie.leaves = append(lie.leaves, leaves[to]) }))
	}
	return found
}
