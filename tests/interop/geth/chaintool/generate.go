package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"math/big"
	"os"
	"path/filepath"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/consensus/beacon"
	"github.com/ethereum/go-ethereum/consensus/ethash"
	"github.com/ethereum/go-ethereum/core"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/params"
)

// generate makes a chain of full blocks, and a state with many accounts, to measure with.
func generate(_ context.Context, flags *flag.FlagSet, args []string, out io.Writer) error {
	directory := flags.String("out", "", "`DIRECTORY` for genesis.json and chain.rlp")
	blocks := flags.Int("blocks", 300, "how many blocks")
	transactions := flags.Int("transactions", 150, "how many transactions are in each")
	size := flags.Int("data", 500, "bytes of data in each transaction, half of them zeros")
	accounts := flags.Int("accounts", 20000, "how many accounts the state has")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *directory == "" {
		return errors.New("-out is needed")
	}
	zero := uint64(0)
	config := *params.MergedTestChainConfig // up to Cancun from the first block on: later forks want contracts
	config.ChainID, config.CancunTime, config.PragueTime, config.OsakaTime = big.NewInt(7331), &zero, nil, nil
	config.BPO1Time, config.BPO2Time, config.AmsterdamTime = nil, nil, nil
	genesis := &core.Genesis{
		Config: &config, GasLimit: 300_000_000, BaseFee: big.NewInt(7), Difficulty: common.Big0, ExtraData: []byte("chaintool"),
		Alloc: types.GenesisAlloc{crypto.PubkeyToAddress(sender.PublicKey): {Balance: new(big.Int).Lsh(common.Big1, 100)}},
	}
	for index := range *accounts {
		genesis.Alloc[common.BytesToAddress(digest(index).Bytes())] = types.Account{Balance: big.NewInt(int64(index + 1)), Nonce: uint64(index % 3)}
	}
	signer := types.LatestSignerForChainID(config.ChainID)
	nonce, seed := uint64(0), 0
	_, made, _ := core.GenerateChainWithGenesis(genesis, beacon.New(ethash.NewFaker()), *blocks, func(_ int, block *core.BlockGen) {
		block.SetParentBeaconRoot(digest(seed))
		for range *transactions {
			data := append(make([]byte, *size/2), filler(*size-*size/2, seed)...)
			to := common.BytesToAddress(digest(seed % 1000).Bytes())
			seed++
			block.AddTx(types.MustSignNewTx(sender, signer, &types.DynamicFeeTx{
				ChainID: config.ChainID, Nonce: nonce, GasTipCap: common.Big0, GasFeeCap: big.NewInt(1e12), Gas: uint64(21000 + 40*len(data)),
				To: &to, Value: common.Big1, Data: data,
			}))
			nonce++
		}
	})
	if err := writeJSON(filepath.Join(*directory, "genesis.json"), genesis); err != nil {
		return err
	}
	file, err := os.Create(filepath.Join(*directory, "chain.rlp"))
	if err != nil {
		return err
	}
	defer file.Close()
	writer, written := bufio.NewWriter(file), uint64(0)
	for _, block := range made {
		if err := block.EncodeRLP(writer); err != nil {
			return err
		}
		written += block.Size()
	}
	if err := writer.Flush(); err != nil {
		return err
	}
	head := made[len(made)-1]
	return tell(out, "generated", map[string]any{"blocks": len(made), "bytes": written, "hash": head.Hash(), "root": head.Root()})
}

func writeJSON(path string, value any) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer file.Close()
	if err := json.NewEncoder(file).Encode(value); err != nil {
		return err
	}
	return file.Close()
}
