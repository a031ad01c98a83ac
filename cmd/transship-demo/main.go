// Command transship-demo shows transship at work on this machine alone: it starts
// three registries on loopback, fills one of them with images made of the Go
// installation's own files, replicates them to the other two by transship's own
// commands, and counts at the registries what that took.
//
// What it says in the end is computed from those counts, and the exit code is 1
// if any of it is untrue.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/transship/transship/cmd/internal/app"
)

func main() {
	// A reader that went away (SIGPIPE) is a reason to clean up, as Ctrl-C is.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr, app.Main)
	stop()
	os.Exit(code)
}

// A command is transship's own command line: arguments in, exit code out.
type command func(args []string, stdin io.Reader, stdout, stderr io.Writer) int
