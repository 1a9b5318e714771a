// dpxpeer is a second implementation of dpx/1, as its initiator, written from docs/spec/dpx1.md. It dials a node that has the capability
// "echo" (../README.md), does what its flags say, and writes a line of JSON for each result.
package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/p2p/enode"
	"github.com/ethereum/go-ethereum/rlp"
)

const patience = 60 * time.Second

type capability struct {
	Name    string
	Version uint64
}

type hello struct {
	Version      uint64
	Client       string
	Capabilities []capability
	Port         uint64
	PublicKey    []byte
	Rest         []rlp.RawValue `rlp:"tail"`
}

type question struct {
	ID   uint64
	Data []byte
}

func bytesReader(data []byte) io.Reader { return bytes.NewReader(data) }

func tell(event string, fields map[string]any) {
	if fields == nil {
		fields = map[string]any{}
	}
	fields["event"] = event
	line, _ := json.Marshal(fields)
	fmt.Println(string(line))
}

func main() {
	node := flag.String("dial", "", "the node, as an enode URL")
	keyHex := flag.String("key", "", "private key in hex (default: a new one)")
	features := flag.Uint64("features", featChaCha|featMux|featAES, "what is offered")
	secretHex := flag.String("secret", "", "what an earlier session has left, to be resumed")
	echoes := flag.String("echo", "", "sizes of messages that are to come back, comma-separated")
	overtake := flag.Int("overtake", 0, "size of a question between whose chunks a small one goes")
	asks := flag.Int("asks", 0, "how many small questions to ask, one after the other")
	flag.Parse()
	if err := run(*node, *keyHex, *features, *secretHex, *echoes, *overtake, *asks); err != nil {
		tell("error", map[string]any{"text": err.Error()})
		os.Exit(1)
	}
	tell("done", nil)
}

func run(node, keyHex string, features uint64, secretHex, echoes string, overtake, asks int) error {
	key, err := crypto.GenerateKey()
	if keyHex != "" {
		key, err = crypto.HexToECDSA(keyHex)
	}
	if err != nil {
		return err
	}
	secret, err := hex.DecodeString(secretHex)
	if err != nil {
		return err
	}
	if len(secret) == 0 {
		secret = nil
	}
	target, err := enode.ParseV4(node)
	if err != nil {
		return err
	}
	conn, err := net.DialTimeout("tcp", net.JoinHostPort(target.IPAddr().String(), strconv.Itoa(target.TCP())), patience)
	if err != nil {
		return err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(2 * patience))

	ours := params{ConnectionWindow: 1 << 20, CapabilityWindow: 1 << 18, Reassembly: 16 << 20, Contexts: 4, MaxFrame: 1 << 14}
	found, err := dial(conn, key, target.Pubkey(), features, ours, secret)
	if err != nil {
		return err
	}
	if found.accept == nil {
		tell("stock", nil)
		return nil
	}
	tell("accepted", map[string]any{
		"features": found.accept.Features, "mode": found.accept.Mode, "verdict": found.accept.Verdict.Resumption,
		"max_frame": found.accept.Params.MaxFrame,
	})
	s := newSession(conn, found, ours)
	if err := s.exchangeHellos(key); err != nil {
		return err
	}
	tell("secret", map[string]any{"secret": hex.EncodeToString(found.resumption), "id": hex.EncodeToString(secretID(found.resumption))})
	go s.read()
	return play(s, found, echoes, overtake, asks)
}

// exchangeHellos says ours and takes the peer's, which is the first frame and not compressed.
func (s *session) exchangeHellos(key *ecdsa.PrivateKey) error {
	own := hello{5, "dpxpeer", []capability{{"echo", 1}}, 0, crypto.FromECDSAPub(&key.PublicKey)[1:], nil}
	if err := s.writeBase(0, mustEncode(own)); err != nil {
		return err
	}
	header, data, err := s.in.open(s.conn)
	if err != nil {
		return err
	}
	code, rest, err := rlp.SplitUint64(data)
	if err != nil || code != 0 || !bytes.HasPrefix(header, []byte{0xc1, 0x80}) {
		return fmt.Errorf("the first frame is no Hello, but code %d with header-data %x, %x", code, header, rest)
	}
	var theirs hello
	if err := rlp.DecodeBytes(rest, &theirs); err != nil {
		return err
	}
	s.compressed = theirs.Version >= 5
	tell("hello", map[string]any{"client": theirs.Client})
	return nil
}

func play(s *session, found *agreed, echoes string, overtake, asks int) error {
	if found.accept.Features&featResume != 0 {
		id := secretID(found.resumption)
		s.mutex.Lock()
		err := s.write([]uint64{capControl}, append(mustEncode(uint64(codeCommitted)), mustEncode([][]byte{id})...))
		s.mutex.Unlock()
		if err != nil {
			return err
		}
		select {
		case committed := <-s.committed:
			tell("committed", map[string]any{"same": bytes.Equal(committed, id)})
		case <-time.After(patience):
			return errors.New("no COMMITTED")
		}
	}
	for _, text := range strings.FieldsFunc(echoes, func(r rune) bool { return r == ',' }) {
		size, err := strconv.Atoi(text)
		if err != nil {
			return err
		}
		if err := s.echo(size); err != nil {
			return err
		}
	}
	if overtake > 0 {
		if err := s.overtake(overtake); err != nil {
			return err
		}
	}
	for number := range asks {
		if err := s.ask(uint64(number), []byte{byte(number)}, nil); err != nil {
			return err
		}
		if err := s.answer(uint64(number), []byte{byte(number)}); err != nil {
			return err
		}
	}
	if asks > 0 {
		tell("asked", map[string]any{"count": asks})
	}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	tell("state", map[string]any{"unreleased": len(s.contexts), "released": s.released, "records": s.out.next})
	return s.write([]uint64{capBase}, append(mustEncode(uint64(1)), []byte{0x02, 0x04, 0xc1, 0x08}...)) // snappy of [8]: client quitting
}

func (s *session) next() (message, error) {
	select {
	case found, ok := <-s.messages:
		if !ok {
			return message{}, fmt.Errorf("ended: %w", s.ended)
		}
		return found, nil
	case <-time.After(patience):
		return message{}, errors.New("nothing came")
	}
}

// echo has a message come back.
func (s *session) echo(size int) error {
	data := make([]byte, size)
	rand.Read(data)
	payload := mustEncode([][]byte{data})
	if err := s.send(0, payload, nil); err != nil {
		return err
	}
	back, err := s.next()
	if err != nil {
		return err
	}
	tell("echoed", map[string]any{"size": size, "same": back.code == 1 && bytes.Equal(back.data, payload), "frames": back.chunks})
	return nil
}

func (s *session) ask(id uint64, data []byte, between func()) error {
	return s.send(2, mustEncode(question{id, data}), between)
}

func (s *session) answer(id uint64, data []byte) error {
	found, err := s.next()
	if err != nil {
		return err
	}
	var told question
	if err := rlp.DecodeBytes(found.data, &told); err != nil {
		return err
	}
	if digest := sha256.Sum256(data); found.code != 3 || told.ID != id || !bytes.Equal(told.Data, digest[:]) {
		return fmt.Errorf("a wrong answer to question %d: code %d, id %d", id, found.code, told.ID)
	}
	return nil
}

// overtake asks a large question, and a small one between its chunks: the small one is answered first.
func (s *session) overtake(size int) error {
	large := make([]byte, size)
	rand.Read(large)
	var between error
	if err := s.ask(1, large, func() { between = s.ask(2, []byte("small"), nil) }); err != nil {
		return err
	}
	if err := errors.Join(between, s.answer(2, []byte("small")), s.answer(1, large)); err != nil {
		return err
	}
	tell("overtaken", nil)
	return nil
}
