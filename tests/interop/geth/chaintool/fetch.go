package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/big"
	"strings"
	"sync/atomic"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/eth/protocols/eth"
	"github.com/ethereum/go-ethereum/eth/protocols/snap"
	"github.com/ethereum/go-ethereum/p2p/enode"
	"github.com/ethereum/go-ethereum/trie"
	"github.com/ethereum/go-ethereum/trie/trienode"
	"golang.org/x/sync/errgroup"
)

// fetcher asks one peer, and believes it nothing.
type fetcher struct {
	ctx      context.Context
	peer     *eth.Peer
	snapPeer *snap.Peer
	batch    int
	parallel int
	headers  []*types.Header // what was fetched before, to check the rest by

	accounts map[uint64]chan *snap.AccountRangePacket
	answers  chan snap.Packet
	asked    atomic.Uint64
}

// amount is what a fetch brought.
type amount struct {
	items, bytes, requests int
}

// fetch gets a range of blocks, or all accounts of the peer's head, checks them, and prints how long that took.
func fetch(ctx context.Context, flags *flag.FlagSet, args []string, out io.Writer) error {
	genesis := flags.String("genesis", "", "genesis `FILE` in JSON")
	from := flags.String("from", "", "`ENODE` to ask")
	what := flags.String("what", "headers,bodies,receipts", "what to fetch, in this order: headers, bodies, receipts, bals, accounts")
	start := flags.Uint64("start", 1, "`NUMBER` of the first block")
	count := flags.Int("count", 0, "how many blocks (default: up to the peer's head)")
	batch := flags.Int("batch", 128, "how many blocks a request is for; of headers three times as many")
	parallel := flags.Int("parallel", 4, "how many requests are on their way at a time")
	ethVersions := flags.String("eth", "69,70,71,72", "versions of eth, comma-separated")
	patience := flags.Duration("timeout", time.Minute, "when to give up")
	if err := flags.Parse(args); err != nil {
		return err
	}
	offered, err := versionsOf(*ethVersions)
	if err != nil {
		return err
	}
	node, err := enode.Parse(enode.ValidSchemes, *from)
	if err != nil {
		return fmt.Errorf("-from: %v", err)
	}
	chain, err := chainFiles{genesis: *genesis}.open()
	if err != nil {
		return err
	}
	defer chain.Stop()
	ctx, cancel := context.WithTimeout(ctx, *patience)
	defer cancel()

	f := &fetcher{ctx: ctx, batch: *batch, parallel: *parallel, answers: make(chan snap.Packet, *parallel)}
	ready, snapReady := make(chan *eth.Peer, 1), make(chan *snap.Peer, 1)
	s := &side{chain: chain, onEth: func(peer *eth.Peer) { ready <- peer }, onSnap: func(peer *snap.Peer) { snapReady <- peer }}
	s.snapAnswer = func(packet snap.Packet) { f.answers <- packet }
	snapOffered := []uint{}
	if strings.Contains(*what, "accounts") {
		snapOffered = []uint{snap.SNAP1, snap.SNAP2}
	}
	if err := s.start("", offered, snapOffered); err != nil {
		return err
	}
	defer s.stop()
	s.server.AddPeer(node)
	if f.peer, err = receive(ctx, ready); err != nil {
		return fmt.Errorf("no session with %s: %v", *from, err)
	}
	if len(snapOffered) > 0 {
		if f.snapPeer, err = receive(ctx, snapReady); err != nil {
			return fmt.Errorf("no snap with %s: %v", *from, err)
		}
	}
	theirs := f.peer.BlockRange()
	if *count == 0 {
		*count = int(theirs.LatestBlock - *start + 1)
	}
	if err := tell(out, "status", map[string]any{"version": f.peer.Version(), "latest": theirs.LatestBlock, "hash": theirs.LatestBlockHash}); err != nil {
		return err
	}
	return f.all(out, strings.Split(*what, ","), *start, *count)
}

func receive[T any](ctx context.Context, from chan T) (T, error) {
	select {
	case value := <-from:
		return value, nil
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}

// all fetches one thing after the other, headers first, and prints a line for each.
func (f *fetcher) all(out io.Writer, kinds []string, start uint64, count int) error {
	tasks := map[string]func() (amount, error){
		"headers":  func() (amount, error) { return f.fetchHeaders(start, count) },
		"bodies":   func() (amount, error) { return f.inParallel(f.fetchBodies) },
		"receipts": func() (amount, error) { return f.inParallel(f.fetchReceipts) },
		"bals":     func() (amount, error) { return f.inParallel(f.fetchAccessLists) },
		"accounts": f.fetchAccounts,
	}
	if kinds[0] != "headers" { // they are needed to check the others
		if _, err := tasks["headers"](); err != nil {
			return fmt.Errorf("headers: %v", err)
		}
	}
	for _, kind := range kinds {
		task := tasks[kind]
		if task == nil {
			return fmt.Errorf("-what: there is no %q", kind)
		}
		began := time.Now()
		found, err := task()
		if err != nil {
			return fmt.Errorf("%s: %v", kind, err)
		}
		seconds := time.Since(began).Seconds()
		if err := tell(out, "fetched", map[string]any{
			"what": kind, "items": found.items, "bytes": found.bytes, "requests": found.requests, "seconds": seconds,
		}); err != nil {
			return err
		}
	}
	return nil
}

// answer waits for what was asked for, and lets the peer's reader go on.
func (f *fetcher) answer(sink chan *eth.Response, request *eth.Request, err error) (*eth.Response, error) {
	if err != nil {
		return nil, err
	}
	defer request.Close()
	response, err := receive(f.ctx, sink)
	if err != nil {
		return nil, err
	}
	response.Done <- nil
	return response, nil
}

// fetchHeaders asks for some headers at a time, all at once: what they link to is checked when all are here.
func (f *fetcher) fetchHeaders(start uint64, count int) (amount, error) {
	headers, size := make([]*types.Header, count), 3*f.batch
	var bytes atomic.Int64
	group, requests := errgroup.Group{}, 0
	group.SetLimit(f.parallel)
	for at := 0; at < count; at += size {
		wanted := min(size, count-at)
		requests++
		group.Go(func() error {
			sink := make(chan *eth.Response, 1)
			request, err := f.peer.RequestHeadersByNumber(start+uint64(at), wanted, 0, false, sink)
			response, err := f.answer(sink, request, err)
			if err != nil {
				return err
			}
			got := *response.Res.(*eth.BlockHeadersRequest)
			if len(got) != wanted {
				return fmt.Errorf("%d headers from %d on, not %d", len(got), start+uint64(at), wanted)
			}
			for index, header := range got {
				bytes.Add(int64(header.Size()))
				headers[at+index] = header
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return amount{}, err
	}
	for index, header := range headers {
		if header.Number.Uint64() != start+uint64(index) || (index > 0 && header.ParentHash != headers[index-1].Hash()) {
			return amount{}, fmt.Errorf("header %d does not follow the one before", header.Number)
		}
	}
	f.headers = headers
	return amount{count, int(bytes.Load()), requests}, nil
}

// inParallel fetches something for all headers, some at a time. A task says how many of its headers were served; the rest is asked again.
func (f *fetcher) inParallel(task func([]*types.Header) (served, bytes int, err error)) (amount, error) {
	var bytes, requests atomic.Int64
	group := errgroup.Group{}
	group.SetLimit(f.parallel)
	for at := 0; at < len(f.headers); at += f.batch {
		group.Go(func() error {
			for rest := f.headers[at:min(len(f.headers), at+f.batch)]; len(rest) > 0; {
				served, size, err := task(rest)
				if err != nil {
					return err
				}
				if served == 0 {
					return fmt.Errorf("nothing for block %d", rest[0].Number)
				}
				bytes.Add(int64(size))
				requests.Add(1)
				rest = rest[served:]
			}
			return nil
		})
	}
	err := group.Wait()
	return amount{len(f.headers), int(bytes.Load()), int(requests.Load())}, err
}

func hashesOf(headers []*types.Header) []common.Hash {
	hashes := make([]common.Hash, len(headers))
	for index, header := range headers {
		hashes[index] = header.Hash()
	}
	return hashes
}

func (f *fetcher) fetchBodies(headers []*types.Header) (served, bytes int, err error) {
	sink := make(chan *eth.Response, 1)
	request, err := f.peer.RequestBodies(hashesOf(headers), sink)
	response, err := f.answer(sink, request, err)
	if err != nil {
		return 0, 0, err
	}
	bodies, roots := *response.Res.(*eth.BlockBodiesResponse), response.Meta.(eth.BlockBodyHashes)
	if len(bodies) > len(headers) {
		return 0, 0, errors.New("more bodies than asked for")
	}
	for index, body := range bodies {
		header := headers[index]
		fits := roots.TransactionRoots[index] == header.TxHash && roots.UncleHashes[index] == header.UncleHash
		if header.WithdrawalsHash != nil {
			fits = fits && roots.WithdrawalRoots[index] == *header.WithdrawalsHash
		}
		if !fits {
			return 0, 0, fmt.Errorf("the body of block %d does not fit its header", header.Number)
		}
		bytes += len(body.Transactions.Content()) + len(body.Uncles.Content())
	}
	return len(bodies), bytes, nil
}

func (f *fetcher) fetchReceipts(headers []*types.Header) (served, bytes int, err error) {
	sink := make(chan *eth.Response, 1)
	gas, times := make([]uint64, len(headers)), make([]uint64, len(headers))
	for index, header := range headers {
		gas[index], times[index] = header.GasUsed, header.Time
	}
	request, err := f.peer.RequestReceipts(hashesOf(headers), gas, times, sink)
	response, err := f.answer(sink, request, err)
	if err != nil {
		return 0, 0, err
	}
	lists, roots := *response.Res.(*eth.ReceiptsRLPResponse), response.Meta.([]common.Hash)
	if len(lists) > len(headers) {
		return 0, 0, errors.New("more receipts than asked for")
	}
	for index, list := range lists {
		if roots[index] != headers[index].ReceiptHash {
			return 0, 0, fmt.Errorf("the receipts of block %d do not fit its header", headers[index].Number)
		}
		bytes += len(list)
	}
	return len(lists), bytes, nil
}

func (f *fetcher) fetchAccessLists(headers []*types.Header) (served, bytes int, err error) {
	sink := make(chan *eth.Response, 1)
	request, err := f.peer.RequestBALs(hashesOf(headers), sink)
	response, err := f.answer(sink, request, err)
	if err != nil {
		return 0, 0, err
	}
	lists, hashes := *response.Res.(*eth.BlockAccessListResponse), response.Meta.([]common.Hash)
	for index, list := range lists {
		wanted := headers[index].BlockAccessListHash
		switch {
		case wanted == nil && hashes[index] != common.Hash{}:
			return 0, 0, fmt.Errorf("an access list for block %d, which has none", headers[index].Number)
		case wanted != nil && hashes[index] != *wanted:
			return 0, 0, fmt.Errorf("the access list of block %d does not fit its header", headers[index].Number)
		}
		bytes += len(list)
	}
	return len(lists), bytes, nil
}

// fetchAccounts fetches all accounts of the newest header that is here; the space of keys is split between the requests.
func (f *fetcher) fetchAccounts() (amount, error) {
	root, total := f.headers[len(f.headers)-1].Root, amount{}
	type segment struct{ next, limit common.Hash }
	width := new(big.Int).Div(new(big.Int).Lsh(common.Big1, 256), big.NewInt(int64(f.parallel)))
	open := map[uint64]*segment{}
	ask := func(id uint64) error {
		return f.snapPeer.RequestAccountRange(id, root, open[id].next, open[id].limit, 512*1024)
	}
	for index := range f.parallel {
		first := new(big.Int).Mul(width, big.NewInt(int64(index)))
		last := new(big.Int).Sub(new(big.Int).Add(first, width), common.Big1)
		if index == f.parallel-1 {
			last = common.MaxHash.Big()
		}
		open[f.asked.Add(1)] = &segment{common.BigToHash(first), common.BigToHash(last)}
	}
	for id := range open {
		if err := ask(id); err != nil {
			return amount{}, err
		}
	}
	for len(open) > 0 {
		packet, err := receive(f.ctx, f.answers)
		if err != nil {
			return amount{}, err
		}
		answer, ok := packet.(*snap.AccountRangePacket)
		if !ok || open[answer.ID] == nil {
			return amount{}, fmt.Errorf("an unexpected %s", packet.Name())
		}
		at := open[answer.ID]
		delete(open, answer.ID)
		more, err := check(root, at.next, answer)
		if err != nil {
			return amount{}, err
		}
		total.requests++
		last := at.next
		for _, account := range answer.Accounts {
			last = account.Hash
			if account.Hash.Cmp(at.limit) <= 0 {
				total.items++
				total.bytes += len(account.Hash) + len(account.Body)
			}
		}
		if more && last.Cmp(at.limit) < 0 {
			at.next = common.BigToHash(new(big.Int).Add(last.Big(), common.Big1))
			id := f.asked.Add(1)
			open[id] = at
			if err := ask(id); err != nil {
				return amount{}, err
			}
		}
	}
	return total, nil
}

// check proves a range of accounts.
func check(root, start common.Hash, answer *snap.AccountRangePacket) (more bool, err error) {
	hashes, accounts, err := answer.Unpack()
	if err != nil {
		return false, err
	}
	keys := make([][]byte, len(hashes))
	for index := range hashes {
		keys[index] = hashes[index][:]
	}
	if len(answer.Proof) == 0 {
		return trie.VerifyRangeProof(root, nil, keys, accounts, nil)
	}
	nodes := make(trienode.ProofList, len(answer.Proof))
	for index, node := range answer.Proof {
		nodes[index] = node
	}
	return trie.VerifyRangeProof(root, start[:], keys, accounts, nodes.Set())
}
