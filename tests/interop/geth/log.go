package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"

	"github.com/ethereum/go-ethereum/log"
	"github.com/ethereum/go-ethereum/p2p"
)

// handshakeStages maps the log messages of connections that never became a
// session to the stage in which that was decided.
var handshakeStages = map[string]string{
	"Rejected inbound connection":     "accept",
	"Failed RLPx handshake":           "rlpx",
	"Setting up connection failed":    "rlpx",
	"Failed p2p handshake":            "hello",
	"Wrong devp2p handshake identity": "identity",
	"Rejected peer":                   "checks",
}

const sessionEnded = "Removing p2p peer"

// logHandler turns those records of go-ethereum's log into events which say
// what its PeerEvent does not: failed handshakes, which side ended a session,
// and the reason as a number. (PeerEvent has the error's text only.) The
// records are those of the version named in go.mod; the tests notice if they change.
type logHandler struct {
	out   *reporter
	print slog.Handler
	attrs []slog.Attr
}

func newLogHandler(out *reporter, stderr io.Writer, verbosity int) slog.Handler {
	print := log.DiscardHandler()
	if verbosity > 0 {
		print = log.NewTerminalHandlerWithLevel(stderr, log.FromLegacyLevel(verbosity), false)
	}
	return &logHandler{out: out, print: print}
}

func (h *logHandler) Enabled(context.Context, slog.Level) bool { return true }

func (h *logHandler) WithGroup(name string) slog.Handler {
	return &logHandler{out: h.out, print: h.print.WithGroup(name), attrs: h.attrs}
}

func (h *logHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &logHandler{out: h.out, print: h.print.WithAttrs(attrs), attrs: slices.Concat(h.attrs, attrs)}
}

func (h *logHandler) Handle(ctx context.Context, record slog.Record) error {
	if record.Message == sessionEnded {
		h.reportDrop(h.values(record))
	} else if stage, ok := handshakeStages[record.Message]; ok {
		h.reportRejected(stage, h.values(record))
	}
	if h.print.Enabled(ctx, record.Level) {
		return h.print.Handle(ctx, record)
	}
	return nil
}

func (h *logHandler) values(record slog.Record) map[string]any {
	values := make(map[string]any)
	for _, attr := range h.attrs {
		values[attr.Key] = attr.Value.Any()
	}
	record.Attrs(func(attr slog.Attr) bool {
		values[attr.Key] = attr.Value.Any()
		return true
	})
	return values
}

func (h *logHandler) reportDrop(values map[string]any) {
	err, _ := values["err"].(error)
	h.out.report(event{
		"event":            "drop",
		"peer":             text(values["id"]),
		"reason":           reasonOf(err),
		"error":            errorText(err),
		"remote_requested": values["req"],
	})
}

func (h *logHandler) reportRejected(stage string, values map[string]any) {
	err, _ := values["err"].(error)
	if stage == "identity" {
		err = p2p.DiscUnexpectedIdentity
	}
	conn, known := values["conn"]
	h.out.report(event{
		"event":   "rejected",
		"stage":   stage,
		"peer":    text(values["id"]),
		"addr":    text(values["addr"]),
		"inbound": !known || strings.Contains(fmt.Sprint(conn), "inbound"),
		"reason":  reasonOf(err),
		"error":   errorText(err),
	})
}

// reasonOf is the number of the DiscReason that err is or wraps, else nil.
func reasonOf(err error) any {
	var reason p2p.DiscReason
	if errors.As(err, &reason) {
		return int(reason)
	}
	return nil
}

// errorText is err's text, or nil.
func errorText(err error) any {
	if err == nil {
		return nil
	}
	return err.Error()
}

func text(value any) any {
	if value == nil {
		return nil
	}
	return fmt.Sprint(value)
}
