package main

import (
	"context"
	"flag"
	"io"
	"os"

	"github.com/ethereum/go-ethereum/eth/protocols/eth"
)

// endOfInput ends a context when stdin ends, which is how a test ends a program that runs until then.
func endOfInput(ctx context.Context) context.Context {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	return ctx
}

// serve offers a chain to peers until stdin ends.
func serve(ctx context.Context, flags *flag.FlagSet, args []string, out io.Writer) error {
	genesis := flags.String("genesis", "", "genesis `FILE` in JSON")
	blocks := flags.String("chain", "", "blocks in RLP, one behind the other, in `FILE`")
	listen := flags.String("listen", "127.0.0.1:0", "TCP `ADDRESS` to listen on")
	ethVersions := flags.String("eth", "69,70,71,72", "versions of eth, comma-separated")
	snapVersions := flags.String("snap", "1,2", "versions of snap, comma-separated")
	if err := flags.Parse(args); err != nil {
		return err
	}
	ethOffered, err := versionsOf(*ethVersions)
	if err != nil {
		return err
	}
	snapOffered, err := versionsOf(*snapVersions)
	if err != nil {
		return err
	}
	chain, err := chainFiles{*genesis, *blocks}.open()
	if err != nil {
		return err
	}
	defer chain.Stop()
	s := &side{chain: chain}
	s.onEth = func(peer *eth.Peer) {
		theirs := peer.BlockRange()
		tell(out, "status", map[string]any{
			"id": peer.ID(), "version": peer.Version(), "earliest": theirs.EarliestBlock, "latest": theirs.LatestBlock, "hash": theirs.LatestBlockHash,
		})
	}
	if err := s.start(*listen, ethOffered, snapOffered); err != nil {
		return err
	}
	defer s.stop()
	self, head := s.server.Self(), chain.CurrentBlock()
	if err := tell(out, "listening", map[string]any{
		"enode": self.URLv4(), "enr": self.String(), "head": head.Number.Uint64(), "hash": head.Hash(), "root": head.Root,
	}); err != nil {
		return err
	}
	<-endOfInput(ctx).Done()
	return nil
}
