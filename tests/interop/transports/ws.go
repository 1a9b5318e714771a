package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"

	"github.com/coder/websocket"
)

const subprotocol = "devp2p.1"

var _ = register("ws", transport{dial: dialWS, listen: listenWS})

// streamOf makes a byte stream of a WebSocket. It offers compression where it can, which a node never agrees to.
func streamOf(made *websocket.Conn, o options) (net.Conn, error) {
	if made.Subprotocol() != subprotocol {
		made.CloseNow()
		return nil, fmt.Errorf("the subprotocol agreed on is %q", made.Subprotocol())
	}
	kind := websocket.MessageBinary
	switch o.fault {
	case "":
	case "text":
		kind = websocket.MessageText
	default:
		return nil, fmt.Errorf("no such fault of WebSocket: %q", o.fault)
	}
	return websocket.NetConn(context.Background(), made, kind), nil
}

func dialWS(o options) (*link, error) {
	within, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	wanted := &websocket.DialOptions{Subprotocols: []string{"other", subprotocol}, CompressionMode: websocket.CompressionContextTakeover}
	switch o.fault {
	case "no-protocol":
		wanted.Subprotocols = nil
	case "origin":
		wanted.HTTPHeader = http.Header{"Origin": {"https://example.org"}}
	}
	made, response, err := websocket.Dial(within, "ws://"+o.address+"/any/path", wanted)
	if err != nil {
		return nil, err
	}
	if extensions := response.Header.Get("Sec-WebSocket-Extensions"); extensions != "" {
		return nil, fmt.Errorf("the node agrees to %s", extensions)
	}
	if o.fault == "ping" {
		return nil, pinged(within, made)
	}
	stream, err := streamOf(made, o)
	if err != nil {
		return nil, err
	}
	return &link{stream: stream, initiator: true}, nil
}

// pinged sends a ping before anything of a session, and closes.
func pinged(within context.Context, made *websocket.Conn) error {
	go func() { _, _, _ = made.Read(within) }() // which is what takes the pong
	if err := made.Ping(within); err != nil {
		return fmt.Errorf("no pong: %w", err)
	}
	made.CloseNow()
	return errors.New("the node has answered the ping")
}

func listenWS(o options) (string, func() (pending, error), error) {
	listener, err := net.Listen("tcp", o.address)
	if err != nil {
		return "", nil, err
	}
	arrived := make(chan pending)
	serve := func(w http.ResponseWriter, r *http.Request) {
		wanted := &websocket.AcceptOptions{Subprotocols: []string{subprotocol}, CompressionMode: websocket.CompressionContextTakeover}
		made, err := websocket.Accept(w, r, wanted)
		arrived <- func() (*link, error) {
			if err != nil {
				return nil, err
			}
			stream, err := streamOf(made, o)
			if err != nil {
				return nil, err
			}
			return &link{stream: stream}, nil
		}
	}
	go func() { _ = http.Serve(listener, http.HandlerFunc(serve)) }()
	return listener.Addr().String(), func() (pending, error) { return <-arrived, nil }, nil
}
