package main

import (
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/ethereum/go-ethereum/p2p"
)

const (
	mostPings = 20000
	patience  = 20 * time.Second
)

type ping struct {
	Number uint64
}

// qosServe answers pings, and reads the load beside them or leaves it unread.
func qosServe(o *options) (result, error) {
	answer := protocol("ping", 2, func(rw p2p.MsgReadWriter) error {
		for {
			number, err := readPing(rw)
			if err != nil {
				return err
			}
			if err := p2p.Send(rw, 1, &ping{number}); err != nil {
				return err
			}
		}
	})
	load := protocol("load", 1, func(rw p2p.MsgReadWriter) error {
		if o.stall {
			select {}
		}
		for {
			if _, err := readBlob(rw); err != nil {
				return err
			}
		}
	})
	if _, err := startServer(o, answer, load); err != nil {
		return nil, err
	}
	select {}
}

func readPing(rw p2p.MsgReadWriter) (uint64, error) {
	msg, err := rw.ReadMsg()
	if err != nil {
		return 0, err
	}
	var p ping
	err = msg.Decode(&p)
	return p.Number, err
}

// qosPlay plays ping-pong beside its own load, for a time, or until no pong
// comes any more. It reports how long each pong took, in microseconds.
func qosPlay(o *options) (result, error) {
	var sent, lastPong atomic.Int64
	ended := newLatch()
	var waits []int64
	start := time.Now()
	lastPong.Store(start.UnixNano())
	stuckAfter := patience
	if o.stall {
		stuckAfter = o.duration()
	}
	play := protocol("ping", 2, func(rw p2p.MsgReadWriter) error {
		defer ended.set()
		warm := time.Now().Add(o.duration() / 10)
		end := time.Now().Add(o.duration())
		for number := uint64(0); (o.stall || time.Now().Before(end)) && len(waits) < mostPings; number++ {
			asked := time.Now()
			if err := p2p.Send(rw, 0, &ping{number}); err != nil {
				return err
			}
			if got, err := readPing(rw); err != nil || got != number {
				return fmt.Errorf("pong %d came for %d: %v", got, number, err)
			}
			now := time.Now()
			lastPong.Store(now.UnixNano())
			if asked.After(warm) || o.stall {
				waits = append(waits, now.Sub(asked).Microseconds())
			}
		}
		return nil
	})
	load := protocol("load", 1, func(rw p2p.MsgReadWriter) error {
		payload := makePayload(o.beside, "random")
		for o.beside > 0 {
			if err := p2p.Send(rw, 0, &blob{payload}); err != nil {
				return err
			}
			sent.Add(int64(len(payload)))
		}
		<-ended.done
		return nil
	})
	if _, err := startServer(o, play, load); err != nil {
		return nil, err
	}
	stuck := false
	for waiting := true; waiting; {
		select {
		case <-ended.done:
			waiting = false
		case <-time.After(50 * time.Millisecond):
			stuck = time.Since(time.Unix(0, lastPong.Load())) > stuckAfter
			waiting = !stuck
		}
	}
	// When it is stuck the player waits in a read, and nobody writes to waits.
	return result{"waits": waits, "sent": sent.Load(), "stuck": stuck, "seconds": time.Since(start).Seconds()}, nil
}

type flow struct {
	name string
	size int
}

// parseFlows reads --flows; go-ethereum knows no weights.
func parseFlows(o *options) ([]flow, error) {
	var flows []flow
	for entry := range strings.SplitSeq(o.flows, ",") {
		parts := strings.Split(entry, ":")
		if len(parts) != 3 {
			return nil, fmt.Errorf("%q is not name:size:weight", entry)
		}
		size, err := strconv.Atoi(parts[1])
		if err != nil {
			return nil, err
		}
		flows = append(flows, flow{parts[0], size})
	}
	return flows, nil
}

// shareRecv counts the bytes of each flow, from when all flow.
func shareRecv(o *options) (result, error) {
	flows, err := parseFlows(o)
	if err != nil {
		return nil, err
	}
	counts := make([]atomic.Int64, len(flows))
	var protocols []p2p.Protocol
	for i, f := range flows {
		protocols = append(protocols, protocol(f.name, 1, func(rw p2p.MsgReadWriter) error {
			for {
				b, err := readBlob(rw)
				if err != nil {
					return err
				}
				counts[i].Add(int64(len(b.Data)))
			}
		}))
	}
	if _, err := startServer(o, protocols...); err != nil {
		return nil, err
	}
	for i := range counts {
		for counts[i].Load() == 0 {
			time.Sleep(time.Millisecond)
		}
	}
	before := make([]int64, len(flows))
	for i := range counts {
		before[i] = counts[i].Load()
	}
	time.Sleep(o.duration())
	taken := result{}
	for i, f := range flows {
		taken[f.name] = counts[i].Load() - before[i]
	}
	return result{"bytes": taken}, nil
}

// shareSend sends on all flows as fast as it can, until it is killed.
func shareSend(o *options) (result, error) {
	flows, err := parseFlows(o)
	if err != nil {
		return nil, err
	}
	var protocols []p2p.Protocol
	for _, f := range flows {
		payload := makePayload(f.size, "random")
		protocols = append(protocols, protocol(f.name, 1, func(rw p2p.MsgReadWriter) error {
			for {
				if err := p2p.Send(rw, 0, &blob{payload}); err != nil {
					return err
				}
			}
		}))
	}
	if _, err := startServer(o, protocols...); err != nil {
		return nil, err
	}
	select {}
}
