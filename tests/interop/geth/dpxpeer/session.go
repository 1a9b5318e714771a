package main

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/ethereum/go-ethereum/rlp"
	"github.com/golang/snappy"
)

// Control codes (section 5).
const (
	codeDelta     = 0x00
	codeReset     = 0x01
	codeCommitted = 0x05
	codeGoAway    = 0x0a
	codeRelease   = 0x0d

	capBase    = 0
	capControl = 127

	recordsPerKey = 4096
)

// half is one direction of records (section 3).
type half struct {
	key  []byte
	aes  bool
	aead cipher.AEAD
	next uint64 // records under this key
}

func newHalf(key []byte, aes bool) *half {
	made := &half{key: key, aes: aes}
	made.use(key)
	return made
}

func (h *half) use(key []byte) {
	h.key, h.next = key, 0
	if !h.aes {
		h.aead = chacha(key)
		return
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err)
	}
	if h.aead, err = cipher.NewGCM(block); err != nil {
		panic(err)
	}
}

// nonces gives those of the next record's header and body.
func (h *half) nonces() ([]byte, []byte) {
	if h.next == recordsPerKey {
		h.use(expand(h.key, "dpx1 rekey", 32))
	}
	header, body := make([]byte, 12), make([]byte, 12)
	binary.BigEndian.PutUint64(header[4:], 2*h.next)
	binary.BigEndian.PutUint64(body[4:], 2*h.next+1)
	h.next++
	return header, body
}

func (h *half) seal(headerData, data []byte) []byte {
	plain := make([]byte, 16)
	plain[0], plain[1], plain[2] = byte(len(data)>>16), byte(len(data)>>8), byte(len(data))
	copy(plain[3:], headerData)
	first, second := h.nonces()
	record := h.aead.Seal(nil, first, plain, nil)
	padded := append(append([]byte{}, data...), make([]byte, -len(data)&15)...)
	return append(record, h.aead.Seal(nil, second, padded, record)...)
}

func (h *half) open(conn io.Reader) (headerData, data []byte, err error) {
	header := make([]byte, 32)
	if _, err = io.ReadFull(conn, header); err != nil {
		return nil, nil, err
	}
	first, second := h.nonces()
	plain, err := h.aead.Open(nil, first, header, nil)
	if err != nil {
		return nil, nil, err
	}
	size := int(plain[0])<<16 | int(plain[1])<<8 | int(plain[2])
	body := make([]byte, size+(-size&15)+16)
	if _, err = io.ReadFull(conn, body); err != nil {
		return nil, nil, err
	}
	padded, err := h.aead.Open(nil, second, body, header)
	if err != nil {
		return nil, nil, err
	}
	for _, zero := range padded[size:] {
		if zero != 0 {
			return nil, nil, errors.New("padding is not zero")
		}
	}
	return plain[3:], padded[:size], nil
}

// message is one of a capability that has come whole.
type message struct {
	code uint64
	data []byte
	// chunks is how many frames it came in.
	chunks int
}

type incoming struct {
	total  uint64
	data   []byte
	chunks int
}

// session sends from any goroutine; one reads.
type session struct {
	conn        io.ReadWriter
	in, out     *half
	ours        params
	theirs      params
	mutex       sync.Mutex
	more        *sync.Cond // there is more credit, or room, or the end
	windows     [2]uint64  // what the peer takes: of the connection, and of the one capability that we share
	contexts    map[uint64]uint64
	reserved    uint64
	lastContext uint64
	owed        [2]uint64 // what we have taken and not given back
	arriving    map[uint64]*incoming
	compressed  bool
	released    int // how many contexts of ours were released
	committed   chan []byte
	messages    chan message
	ended       error
}

func newSession(conn io.ReadWriter, found *agreed, ours params) *session {
	aes := found.accept.Features&featAES != 0
	s := &session{
		conn: conn, in: newHalf(found.r2i, aes), out: newHalf(found.i2r, aes), ours: ours, theirs: found.accept.Params,
		contexts: map[uint64]uint64{}, arriving: map[uint64]*incoming{}, committed: make(chan []byte, 1), messages: make(chan message, 10000),
	}
	s.more = sync.NewCond(&s.mutex)
	s.windows = [2]uint64{s.theirs.ConnectionWindow, s.theirs.CapabilityWindow}
	return s
}

// write sends one frame; the mutex is held.
func (s *session) write(header []uint64, data []byte) error {
	_, err := s.conn.Write(s.out.seal(mustEncode(header), data))
	return err
}

func (s *session) writeBase(code uint64, payload []byte) error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.write([]uint64{capBase}, append(mustEncode(code), payload...))
}

func (s *session) control(code uint64, items ...uint64) error {
	return s.write([]uint64{capControl}, append(mustEncode(code), mustEncode(items)...))
}

func (s *session) spend(size uint64) {
	s.windows[0] -= size
	s.windows[1] -= size
}

// send sends a message of the capability; between is called once, after the first chunk of a large one.
func (s *session) send(code uint64, payload []byte, between func()) error {
	if s.compressed {
		payload = snappy.Encode(nil, payload)
	}
	data := append(mustEncode(code), payload...)
	total := uint64(len(data))
	if total <= s.theirs.MaxFrame {
		s.mutex.Lock()
		defer s.mutex.Unlock()
		for s.ended == nil && min(s.windows[0], s.windows[1]) < total {
			s.more.Wait()
		}
		if s.ended != nil {
			return s.ended
		}
		s.spend(total)
		return s.write([]uint64{1}, data)
	}
	context, err := s.begin(total)
	for at := uint64(0); at < total && err == nil; {
		var size uint64
		size, err = s.chunk(context, total, at, data)
		if at == 0 && between != nil {
			between()
		}
		at += size
	}
	return err
}

// begin reserves room for a message in chunks.
func (s *session) begin(total uint64) (uint64, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	for s.ended == nil && (uint64(len(s.contexts)) >= s.theirs.Contexts || s.reserved+total > s.theirs.Reassembly) {
		s.more.Wait()
	}
	for {
		s.lastContext = s.lastContext%65535 + 1
		if _, used := s.contexts[s.lastContext]; !used {
			break
		}
	}
	s.contexts[s.lastContext] = total
	s.reserved += total
	return s.lastContext, s.ended
}

// chunk sends the next part, as large as it may be.
func (s *session) chunk(context, total, at uint64, data []byte) (uint64, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	size := func() uint64 { return min(total-at, s.theirs.MaxFrame, s.windows[0], s.windows[1]) }
	for s.ended == nil && size() < min(512, total-at) {
		s.more.Wait()
	}
	if s.ended != nil {
		return 0, s.ended
	}
	sent := size()
	s.spend(sent)
	header := []uint64{1, context}
	if at == 0 {
		header = append(header, total)
	}
	return sent, s.write(header, data[at:at+sent])
}

// read takes frames until the end.
func (s *session) read() {
	err := s.readAll()
	s.mutex.Lock()
	s.ended = err
	s.more.Broadcast()
	s.mutex.Unlock()
	close(s.messages)
}

func (s *session) readAll() error {
	for {
		headerData, data, err := s.in.open(s.conn)
		if err != nil {
			return err
		}
		var header []uint64
		if err := rlp.NewStream(bytesReader(headerData), 0).Decode(&header); err != nil {
			return err
		}
		switch {
		case header[0] == capBase:
			err = s.base(data)
		case header[0] == capControl:
			err = s.hear(data)
		case header[0] != 1:
			err = fmt.Errorf("a frame of capability %d", header[0])
		case len(header) == 1 || header[1] == 0:
			err = s.deliver(data, 1)
			s.give(uint64(len(data)))
		default:
			err = s.chunked(header, data)
		}
		if err != nil {
			return err
		}
	}
}

func (s *session) chunked(header []uint64, data []byte) error {
	if len(header) == 3 {
		s.arriving[header[1]] = &incoming{total: header[2]}
	}
	found := s.arriving[header[1]]
	if found == nil {
		return fmt.Errorf("a chunk of context %d", header[1])
	}
	found.data = append(found.data, data...)
	found.chunks++
	s.give(uint64(len(data)))
	if uint64(len(found.data)) < found.total {
		return nil
	}
	delete(s.arriving, header[1])
	err := s.deliver(found.data, found.chunks)
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return errors.Join(err, s.control(codeRelease, 1, header[1]))
}

// give gives credit back, half a capability's window at a time.
func (s *session) give(size uint64) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	for place, capability := range []uint64{capControl, 1} {
		s.owed[place] += size
		if s.owed[place]*2 >= s.ours.CapabilityWindow {
			s.control(codeDelta, capability, s.owed[place])
			s.owed[place] = 0
		}
	}
}

func (s *session) deliver(data []byte, chunks int) error {
	code, rest, err := rlp.SplitUint64(data)
	if err == nil && s.compressed {
		rest, err = snappy.Decode(nil, rest)
	}
	if err != nil {
		return err
	}
	s.messages <- message{code, rest, chunks}
	return nil
}

func (s *session) hear(data []byte) error {
	code, rest, err := rlp.SplitUint64(data)
	if err != nil {
		return err
	}
	if code == codeCommitted {
		var items [][]byte
		if err := rlp.DecodeBytes(rest, &items); err == nil && len(items) > 0 {
			s.committed <- items[0]
		}
		return nil
	}
	if code != codeDelta && code != codeRelease && code != codeReset && code != codeGoAway {
		return nil
	}
	var items []uint64
	if err := rlp.DecodeBytes(rest, &items); err != nil {
		return err
	}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	defer s.more.Broadcast()
	switch code {
	case codeDelta:
		if items[0] == capControl {
			s.windows[0] += items[1]
		} else {
			s.windows[1] += items[1]
		}
	case codeRelease:
		s.reserved -= s.contexts[items[1]]
		delete(s.contexts, items[1])
		s.released++
	case codeReset:
		return fmt.Errorf("RESET of context %d, code %d", items[1], items[2])
	case codeGoAway:
		return fmt.Errorf("GOAWAY, code %d", items[0])
	}
	return nil
}

func (s *session) base(data []byte) error {
	code, rest, err := rlp.SplitUint64(data)
	if err == nil && s.compressed {
		rest, err = snappy.Decode(nil, rest)
	}
	switch {
	case err != nil:
		return err
	case code == 1:
		return fmt.Errorf("disconnected: %x", rest)
	case code == 2:
		return s.writeBase(3, snappy.Encode(nil, []byte{0xc0}))
	}
	return nil
}
