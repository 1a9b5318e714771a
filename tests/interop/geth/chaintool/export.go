package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core"
	"github.com/ethereum/go-ethereum/core/state"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/eth/protocols/eth"
	"github.com/ethereum/go-ethereum/rlp"
	"github.com/ethereum/go-ethereum/trie"
)

// What a chain file does not say of a block; each is one RLP item of a file.
type blockReceipts struct {
	Hash     common.Hash
	Receipts *eth.ReceiptList
}

type blockAccessList struct {
	Hash       common.Hash
	AccessList rlp.RawValue
}

// export executes a chain and writes its receipts, its block access lists and the states of some blocks.
func export(_ context.Context, flags *flag.FlagSet, args []string, out io.Writer) error {
	genesis := flags.String("genesis", "", "genesis `FILE` in JSON")
	blocks := flags.String("chain", "", "blocks in RLP, one behind the other, in `FILE`")
	directory := flags.String("out", "", "`DIRECTORY` for receipts.rlp, bals.rlp and state-NUMBER.json")
	states := flags.String("states", "", "block `NUMBERS` whose states to export, comma-separated; -1 is the head, -2 its parent")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *genesis == "" || *blocks == "" || *directory == "" {
		return errors.New("-genesis, -chain and -out are needed")
	}
	chain, err := chainFiles{*genesis, *blocks}.open()
	if err != nil {
		return err
	}
	defer chain.Stop()
	head := chain.CurrentBlock().Number.Uint64()
	exported := map[string]any{"head": head, "hash": chain.CurrentBlock().Hash()}
	if exported["receipts"], err = exportReceipts(chain, filepath.Join(*directory, "receipts.rlp")); err != nil {
		return err
	}
	if exported["bals"], err = exportAccessLists(chain, filepath.Join(*directory, "bals.rlp")); err != nil {
		return err
	}
	files := map[uint64]string{}
	for _, text := range strings.FieldsFunc(*states, func(r rune) bool { return r == ',' }) {
		number, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return fmt.Errorf("-states: %v", err)
		}
		if number < 0 {
			number += int64(head) + 1
		}
		path := filepath.Join(*directory, fmt.Sprintf("state-%d.json", number))
		if err := exportState(chain, uint64(number), path); err != nil {
			return err
		}
		files[uint64(number)] = path
	}
	exported["states"] = files
	return tell(out, "exported", exported)
}

// each calls for every block above genesis, and writes what that gives, in RLP.
func each(chain *core.BlockChain, path string, item func(*types.Header) (any, error)) (int, error) {
	file, err := os.Create(path)
	if err != nil {
		return 0, err
	}
	defer file.Close()
	writer, count := bufio.NewWriter(file), 0
	for number := uint64(1); number <= chain.CurrentBlock().Number.Uint64(); number++ {
		value, err := item(chain.GetHeaderByNumber(number))
		if err != nil {
			return 0, fmt.Errorf("block %d: %v", number, err)
		}
		if value == nil {
			continue
		}
		if err := rlp.Encode(writer, value); err != nil {
			return 0, err
		}
		count++
	}
	if err := writer.Flush(); err != nil {
		return 0, err
	}
	return count, file.Close()
}

func exportReceipts(chain *core.BlockChain, path string) (int, error) {
	return each(chain, path, func(header *types.Header) (any, error) {
		receipts := chain.GetReceiptsByHash(header.Hash())
		if receipts == nil && header.ReceiptHash != types.EmptyReceiptsHash {
			return nil, errors.New("no receipts")
		}
		return blockReceipts{header.Hash(), eth.NewReceiptList(receipts)}, nil
	})
}

func exportAccessLists(chain *core.BlockChain, path string) (int, error) {
	return each(chain, path, func(header *types.Header) (any, error) {
		if header.BlockAccessListHash == nil {
			return nil, nil
		}
		encoded := chain.GetAccessListRLP(header.Hash())
		if len(encoded) == 0 {
			return nil, errors.New("no access list")
		}
		return blockAccessList{header.Hash(), encoded}, nil
	})
}

func exportState(chain *core.BlockChain, number uint64, path string) error {
	header := chain.GetHeaderByNumber(number)
	if header == nil {
		return fmt.Errorf("-states: there is no block %d", number)
	}
	dump, err := dumpState(chain, header.Root)
	if err != nil {
		return fmt.Errorf("state of block %d: %v", number, err)
	}
	return writeJSON(path, dump)
}

// dumpState is StateDB.RawDump, which looks for the storage of each account in a database in memory; that takes minutes for some thousands.
func dumpState(chain *core.BlockChain, root common.Hash) (*state.Dump, error) {
	accounts, err := trie.NewStateTrie(trie.StateTrieID(root), chain.TrieDB())
	if err != nil {
		return nil, err
	}
	dump := &state.Dump{Root: root.Hex()[2:], Accounts: map[string]state.DumpAccount{}}
	err = eachLeaf(accounts, func(hash common.Hash, key, value []byte) error {
		var account types.StateAccount
		if err := rlp.DecodeBytes(value, &account); err != nil {
			return err
		}
		address := common.BytesToAddress(key)
		dumped := state.DumpAccount{
			Balance: account.Balance.Dec(), Nonce: account.Nonce, Root: account.Root[:], CodeHash: account.CodeHash,
			Address: &address, AddressHash: hash[:],
		}
		if common.BytesToHash(account.CodeHash) != types.EmptyCodeHash {
			dumped.Code = chain.ContractCodeWithPrefix(common.BytesToHash(account.CodeHash))
		}
		if account.Root != types.EmptyRootHash {
			dumped.Storage = map[common.Hash]string{}
			slots, err := trie.NewStateTrie(trie.StorageTrieID(root, hash, account.Root), chain.TrieDB())
			if err != nil {
				return err
			}
			if err := eachLeaf(slots, func(_ common.Hash, key, value []byte) error {
				_, content, _, err := rlp.Split(value)
				dumped.Storage[common.BytesToHash(key)] = common.Bytes2Hex(content)
				return err
			}); err != nil {
				return err
			}
		}
		dump.Accounts[address.String()] = dumped
		return nil
	})
	return dump, err
}

// eachLeaf calls for each leaf of a trie, with its key before and after hashing.
func eachLeaf(of *trie.StateTrie, call func(hash common.Hash, key, value []byte) error) error {
	nodes, err := of.NodeIterator(nil)
	if err != nil {
		return err
	}
	leaves := trie.NewIterator(nodes)
	for leaves.Next() {
		key := of.GetKey(leaves.Key)
		if key == nil {
			return fmt.Errorf("what was hashed to %x is unknown", leaves.Key)
		}
		if err := call(common.BytesToHash(leaves.Key), key, leaves.Value); err != nil {
			return err
		}
	}
	return leaves.Err
}
