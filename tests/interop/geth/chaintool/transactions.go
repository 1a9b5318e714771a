package main

import (
	"crypto/ecdsa"
	"math/big"
	"sync"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/crypto/kzg4844"
	"github.com/ethereum/go-ethereum/params"
	"github.com/holiman/uint256"
)

var (
	chainID = big.NewInt(3503995874084926)
	sender  = mustKey(1)
	signer  = types.LatestSignerForChainID(chainID)
)

func mustKey(seed int) *ecdsa.PrivateKey {
	key, err := crypto.ToECDSA(digest(seed).Bytes())
	if err != nil {
		panic(err)
	}
	return key
}

// sampleTransactions has each type in the form that blocks have, with and without what is optional.
func sampleTransactions() []*types.Transaction {
	to := common.BytesToAddress(filler(20, 1))
	self := crypto.PubkeyToAddress(sender.PublicKey)
	list := types.AccessList{{Address: to, StorageKeys: digests(3)}, {Address: self, StorageKeys: []common.Hash{}}}
	most := new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 256), big.NewInt(1))
	authorization := func(chain uint64) types.SetCodeAuthorization {
		signed, err := types.SignSetCode(mustKey(2), types.SetCodeAuthorization{ChainID: *uint256.NewInt(chain), Address: to, Nonce: chain})
		if err != nil {
			panic(err)
		}
		return signed
	}
	found := []*types.Transaction{
		types.MustSignNewTx(sender, types.HomesteadSigner{}, &types.LegacyTx{Nonce: 0, GasPrice: big.NewInt(1), Gas: 21000, To: &to, Value: big.NewInt(0)}),
	}
	for _, data := range []types.TxData{
		&types.LegacyTx{Nonce: 127, GasPrice: big.NewInt(128), Gas: 100000, To: nil, Value: big.NewInt(1), Data: filler(100, 2)},
		&types.LegacyTx{Nonce: 1<<64 - 2, GasPrice: most, Gas: 1<<64 - 1, To: &to, Value: most, Data: make([]byte, 56)},
		&types.AccessListTx{ChainID: chainID, Nonce: 1, GasPrice: big.NewInt(7), Gas: 60000, To: &to, Value: big.NewInt(5), AccessList: list},
		&types.AccessListTx{ChainID: chainID, Nonce: 2, GasPrice: big.NewInt(7), Gas: 60000},
		&types.DynamicFeeTx{ChainID: chainID, Nonce: 3, GasTipCap: big.NewInt(1), GasFeeCap: big.NewInt(7), Gas: 75000, Data: append(make([]byte, 31), filler(70, 3)...)},
		&types.DynamicFeeTx{ChainID: chainID, Nonce: 4, GasTipCap: big.NewInt(0), GasFeeCap: most, Gas: 30000, To: &self, Value: big.NewInt(1), AccessList: list},
		&types.BlobTx{
			ChainID: uint256.MustFromBig(chainID), Nonce: 5, GasTipCap: uint256.NewInt(1), GasFeeCap: uint256.NewInt(7), Gas: 100000, To: to,
			Value: uint256.NewInt(9), Data: filler(3, 4), AccessList: list[:1], BlobFeeCap: uint256.NewInt(1 << 40), BlobHashes: digests(3),
		},
		&types.SetCodeTx{
			ChainID: uint256.MustFromBig(chainID), Nonce: 6, GasTipCap: uint256.NewInt(1), GasFeeCap: uint256.NewInt(7), Gas: 200000, To: to,
			AccessList: list, AuthList: []types.SetCodeAuthorization{authorization(0), authorization(1)},
		},
	} {
		found = append(found, types.MustSignNewTx(sender, signer, data))
	}
	return found
}

type blobForm int

const (
	wholeBlobs  blobForm = iota // as before eth/72
	elidedBlobs                 // as in eth/72: the blobs come by Cells
	oldSidecar                  // version 0 of the sidecar: one proof for each blob, not for each cell
)

// sidecar computes a sidecar with blobs that hold nearly nothing. It takes a moment.
var sidecar = sync.OnceValue(func() *types.BlobTxSidecar {
	blobs := make([]kzg4844.Blob, 2)
	var commitments []kzg4844.Commitment
	var proofs []kzg4844.Proof
	for index := range blobs {
		blobs[index][0] = byte(index + 1)
		commitment, err := kzg4844.BlobToCommitment(&blobs[index])
		if err != nil {
			panic(err)
		}
		proofsOf, err := kzg4844.ComputeCellProofs(&blobs[index])
		if err != nil {
			panic(err)
		}
		commitments, proofs = append(commitments, commitment), append(proofs, proofsOf...)
	}
	return types.NewBlobTxSidecar(types.BlobSidecarVersion1, blobs, commitments, proofs)
})

// blobTransaction has at most two blobs.
func blobTransaction(count int, form blobForm) *types.Transaction {
	whole := sidecar()
	with := types.NewBlobTxSidecar(types.BlobSidecarVersion1, whole.Blobs[:count], whole.Commitments[:count], whole.Proofs[:count*kzg4844.CellProofsPerBlob])
	if form == oldSidecar {
		var proofs []kzg4844.Proof
		for index := range count {
			proof, err := kzg4844.ComputeBlobProof(&with.Blobs[index], with.Commitments[index])
			if err != nil {
				panic(err)
			}
			proofs = append(proofs, proof)
		}
		with = types.NewBlobTxSidecar(types.BlobSidecarVersion0, with.Blobs, with.Commitments, proofs)
	}
	if form == elidedBlobs {
		with.Blobs = nil
	}
	return types.MustSignNewTx(sender, signer, &types.BlobTx{
		ChainID: uint256.MustFromBig(chainID), Nonce: 9, GasTipCap: uint256.NewInt(1), GasFeeCap: uint256.NewInt(7), Gas: 100000,
		BlobFeeCap: uint256.NewInt(1), BlobHashes: with.BlobHashes(), Sidecar: with,
	})
}

// rules are the chain rules at an upgrade, by its name.
func rules() map[string]params.Rules {
	zero := uint64(0)
	config := params.ChainConfig{
		ChainID: chainID, HomesteadBlock: common.Big0, EIP150Block: common.Big0, EIP155Block: common.Big0, EIP158Block: common.Big0,
		ByzantiumBlock: common.Big0, ConstantinopleBlock: common.Big0, PetersburgBlock: common.Big0, IstanbulBlock: common.Big0,
		BerlinBlock: common.Big0, LondonBlock: common.Big0, TerminalTotalDifficulty: common.Big0,
	}
	found := map[string]params.Rules{}
	for _, upgrade := range []struct {
		name string
		time **uint64
	}{{"london", new(*uint64)}, {"shanghai", &config.ShanghaiTime}, {"cancun", &config.CancunTime}, {"prague", &config.PragueTime},
		{"osaka", &config.OsakaTime}, {"amsterdam", &config.AmsterdamTime}} {
		*upgrade.time = &zero
		found[upgrade.name] = config.Rules(common.Big0, true, 0)
	}
	return found
}

// transactions prints transactions as they stand in lists, with all that follows from them.
func transactions(p *printer) {
	all := append(sampleTransactions(), blobTransaction(1, wholeBlobs), blobTransaction(2, elidedBlobs), blobTransaction(1, oldSidecar))
	for _, tx := range all {
		from, err := types.Sender(signer, tx)
		if err != nil && p.err == nil {
			p.err = err
		}
		envelope, err := tx.WithoutBlobTxSidecar().MarshalBinary()
		if err != nil && p.err == nil {
			p.err = err
		}
		gas := map[string][2]uint64{}
		value, _ := uint256.FromBig(tx.Value())
		for name, rules := range rules() {
			intrinsic, err := core.IntrinsicGas(tx.Data(), tx.AccessList(), tx.SetCodeAuthorizations(), from, tx.To(), value, rules)
			if err != nil && p.err == nil {
				p.err = err
			}
			var floor uint64
			if rules.IsPrague {
				if floor, err = core.FloorDataGas(rules, from, tx.To(), value, tx.Data(), tx.AccessList()); err != nil && p.err == nil {
					p.err = err
				}
			}
			gas[name] = [2]uint64{intrinsic, floor}
		}
		fields := map[string]any{
			"type": tx.Type(), "item": hexed(p.encode(tx)), "envelope": hexed(envelope), "hash": tx.Hash(), "sender": hexed(from[:]), "size": tx.Size(),
			"gas": gas, "nonce": tx.Nonce(), "gas_limit": tx.Gas(), "value": tx.Value(), "data": hexed(tx.Data()), "max_fee": tx.GasFeeCap(),
			"max_priority_fee": tx.GasTipCap(), "blob_hashes": append([]common.Hash{}, tx.BlobHashes()...), "to": nil, "chain_id": nil,
			"authorizations": len(tx.SetCodeAuthorizations()), "access_list": append(types.AccessList{}, tx.AccessList()...),
		}
		if tx.To() != nil {
			fields["to"] = hexed(tx.To()[:])
		}
		if tx.Protected() {
			fields["chain_id"] = tx.ChainId()
		}
		if tx.Type() == types.BlobTxType {
			fields["max_blob_fee"] = tx.BlobGasFeeCap()
		}
		p.line("transaction", fields)
	}
}
