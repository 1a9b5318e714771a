package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/ethereum/go-ethereum/consensus/beacon"
	"github.com/ethereum/go-ethereum/consensus/ethash"
	"github.com/ethereum/go-ethereum/core"
	"github.com/ethereum/go-ethereum/core/rawdb"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/rlp"
)

// chainFiles says where a chain is.
type chainFiles struct {
	genesis, blocks string
}

func readGenesis(path string) (*core.Genesis, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	genesis := new(core.Genesis)
	if err := json.Unmarshal(data, genesis); err != nil {
		return nil, fmt.Errorf("%s: %v", path, err)
	}
	return genesis, nil
}

func readBlocks(path string) (types.Blocks, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	stream := rlp.NewStream(bufio.NewReaderSize(file, 1<<20), 0)
	var blocks types.Blocks
	for {
		block := new(types.Block)
		if err := stream.Decode(block); errors.Is(err, io.EOF) {
			return blocks, nil
		} else if err != nil {
			return nil, fmt.Errorf("%s, block %d of the file: %v", path, len(blocks)+1, err)
		}
		blocks = append(blocks, block)
	}
}

// open executes a chain in memory. Every state stays, and snap can serve the newest 128.
func (f chainFiles) open() (*core.BlockChain, error) {
	genesis, err := readGenesis(f.genesis)
	if err != nil {
		return nil, err
	}
	config := core.DefaultConfig()
	config.ArchiveMode = true
	config.Preimages = true
	chain, err := core.NewBlockChain(rawdb.NewMemoryDatabase(), genesis, beacon.New(ethash.NewFaker()), config)
	if err != nil {
		return nil, err
	}
	if f.blocks == "" {
		return chain, nil
	}
	blocks, err := readBlocks(f.blocks)
	if err != nil {
		return nil, err
	}
	if number, err := chain.InsertChain(blocks); err != nil {
		return nil, fmt.Errorf("block %d: %v", number+1, err)
	}
	return chain, nil
}
