package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"flag"
	"fmt"
	"io"
	"math"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/rlp"
)

// printer prints what it is given until something fails, which it keeps.
type printer struct {
	out io.Writer
	err error
}

func (p *printer) line(event string, fields map[string]any) {
	if p.err == nil {
		p.err = tell(p.out, event, fields)
	}
}

// message prints a message of a capability as go-ethereum encodes it, and its values.
func (p *printer) message(name string, versions []int, code int, packet any) {
	p.spelled(name, versions, code, packet, packet)
}

// spelled is message for a packet that keeps a list encoded: spelled says the same without that.
func (p *printer) spelled(name string, versions []int, code int, packet, spelled any) {
	encoded := p.encode(packet)
	if !bytes.Equal(encoded, p.encode(spelled)) && p.err == nil {
		p.err = fmt.Errorf("%s is not what was spelled out", name)
	}
	values, err := tree(spelled)
	if err != nil && p.err == nil {
		p.err = err
	}
	capability := "eth"
	if versions[0] < 10 {
		capability = "snap"
	}
	fields := map[string]any{"capability": capability, "versions": versions, "code": code, "name": name}
	fields["rlp"], fields["value"] = hexed(encoded), values
	p.line("message", fields)
}

func (p *printer) encode(value any) []byte {
	encoded, err := rlp.EncodeToBytes(value)
	if err != nil && p.err == nil {
		p.err = err
	}
	return encoded
}

// encodings prints byte-exact encodings of go-ethereum's own types.
func encodings(_ context.Context, flags *flag.FlagSet, args []string, out io.Writer) error {
	if err := flags.Parse(args); err != nil {
		return err
	}
	p := &printer{out: out}
	ethMessages(p)
	snapMessages(p)
	transactions(p)
	blockParts(p)
	accessLists(p)
	forkIDs(p)
	rangeProofs(p)
	return p.err
}

// The edges of numbers.
var (
	numbers = []uint64{0, 1, 127, 128, 256, math.MaxUint32, math.MaxUint64}
	ids     = []uint64{0, 1, 0x80, math.MaxUint64}
)

// digest is a hash that looks random and is the same in each run.
func digest(seed int) common.Hash {
	return crypto.Keccak256Hash(binary.BigEndian.AppendUint64(nil, uint64(seed)))
}

func digests(count int) []common.Hash {
	found := make([]common.Hash, count)
	for index := range found {
		found[index] = digest(index)
	}
	return found
}

// filler is data of a size that looks random and is the same in each run.
func filler(size, seed int) []byte {
	data := make([]byte, 0, size+32)
	for block := 0; len(data) < size; block++ {
		hash := digest(seed<<16 + block)
		data = append(data, hash[:]...)
	}
	return data[:size]
}
