package main

import (
	"encoding/json"
	"io"
	"sync"
)

// event is one line of output.
type event map[string]any

// queue is an unbounded FIFO: put never blocks, so that neither a test that
// reads slowly nor a peer that does can stop go-ethereum's own loops.
type queue[T any] struct {
	mu     sync.Mutex
	wake   sync.Cond
	items  []T
	closed bool
}

func newQueue[T any]() *queue[T] {
	q := new(queue[T])
	q.wake.L = &q.mu
	return q
}

// put adds an item; it reports false when the queue was closed before.
func (q *queue[T]) put(item T) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return false
	}
	q.items = append(q.items, item)
	q.wake.Signal()
	return true
}

// get waits for the next item; it reports false once the queue is closed and empty.
func (q *queue[T]) get() (item T, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.items) == 0 && !q.closed {
		q.wake.Wait()
	}
	if len(q.items) == 0 {
		return item, false
	}
	item, q.items = q.items[0], q.items[1:]
	return item, true
}

func (q *queue[T]) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.wake.Broadcast()
}

// reporter writes events, one JSON object per line, from a goroutine of its own.
type reporter struct {
	events *queue[event]
	done   chan struct{}
}

func newReporter(w io.Writer) *reporter {
	r := &reporter{events: newQueue[event](), done: make(chan struct{})}
	go func() {
		defer close(r.done)
		enc := json.NewEncoder(w)
		enc.SetEscapeHTML(false)
		for {
			ev, ok := r.events.get()
			if !ok {
				return
			}
			// A reader that went away is noticed as the end of stdin.
			_ = enc.Encode(ev)
		}
	}()
	return r
}

func (r *reporter) report(ev event) { r.events.put(ev) }

// close returns when all events reported so far were written.
func (r *reporter) close() {
	r.events.close()
	<-r.done
}
