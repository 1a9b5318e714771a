// Command chaintool shows what go-ethereum makes of a chain, for interop tests. ../README.md says what each of its commands takes and prints.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// command runs with the arguments behind its name, and writes results to out.
type command func(ctx context.Context, flags *flag.FlagSet, args []string, out io.Writer) error

var commands = map[string]command{
	"export":    export,
	"encodings": encodings,
	"generate":  generate,
	"serve":     serve,
	"fetch":     fetch,
}

func main() {
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer cancel()
	if len(os.Args) < 2 || commands[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: chaintool export|encodings|generate|serve|fetch [flags]")
		os.Exit(2)
	}
	name := os.Args[1]
	flags := flag.NewFlagSet("chaintool "+name, flag.ContinueOnError)
	if err := commands[name](ctx, flags, os.Args[2:], os.Stdout); err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintf(os.Stderr, "chaintool %s: %v\n", name, err)
		}
		os.Exit(2)
	}
}

// tell writes one line of JSON.
func tell(out io.Writer, event string, fields map[string]any) error {
	line := map[string]any{"event": event}
	for key, value := range fields {
		line[key] = value
	}
	encoded, err := json.Marshal(line)
	if err != nil {
		return err
	}
	_, err = out.Write(append(encoded, '\n'))
	return err
}
