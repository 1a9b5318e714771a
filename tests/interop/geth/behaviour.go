package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"

	"github.com/ethereum/go-ethereum/p2p"
	"github.com/ethereum/go-ethereum/rlp"
)

// Message codes of echo, which is also how any protocol other than blob behaves.
// Requests are [id, bytes] and their answers [id, sha256 of bytes]. There are two
// pairs of codes so that tests can tell who asks; this program answers both.
const (
	echoCode         = 0 // any payload; comes back as it is with echoedCode
	echoedCode       = 1
	requestCode      = 2 // asked by the test
	answerCode       = 3
	sinkCode         = 4 // reported; so are all codes not named here
	localRequestCode = 5 // asked by this program
	localAnswerCode  = 6
)

// Message codes of blob.
const (
	blobSinkCode    = 0
	blobAskCode     = 1 // [uint]; answered by [version in use]
	blobVersionCode = 2
)

type request struct {
	ID   uint64
	Data []byte
}

type answer struct {
	ID     uint64
	Digest []byte
}

type number struct{ Value uint64 }

func (s *session) handleEcho(code uint64, payload []byte) error {
	switch code {
	case echoCode:
		return s.write(echoedCode, payload)
	case requestCode, localRequestCode:
		var req request
		if err := rlp.DecodeBytes(payload, &req); err != nil {
			return fmt.Errorf("request with code %d: %w", code, err)
		}
		digest := sha256.Sum256(req.Data)
		return p2p.Send(s.rw, code+1, answer{req.ID, digest[:]})
	case answerCode, localAnswerCode:
		var ans answer
		if err := rlp.DecodeBytes(payload, &ans); err != nil {
			return fmt.Errorf("answer with code %d: %w", code, err)
		}
		if c := s.takeCall(ans.ID, code); c == nil {
			s.reportMessage(code, payload)
		} else if bytes.Equal(ans.Digest, c.digest[:]) {
			s.reportCall(c, "")
		} else {
			s.reportCall(c, "wrong digest")
		}
	default:
		s.reportMessage(code, payload)
	}
	return nil
}

func (s *session) handleBlob(code uint64, payload []byte) error {
	if code != blobAskCode {
		s.reportMessage(code, payload)
		return nil
	}
	var marker number
	if err := rlp.DecodeBytes(payload, &marker); err != nil {
		return fmt.Errorf("question for the version: %w", err)
	}
	return p2p.Send(s.rw, blobVersionCode, number{uint64(s.cap.Version)})
}
