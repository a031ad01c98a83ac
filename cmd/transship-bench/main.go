// Command transship-bench measures transship and other tools at the same work, on
// this machine alone: it starts registries on loopback, fills one of them, has
// each tool bring all of it to the others, looks whether what arrived is right to
// the last bit, and prints what that took beside the least that it can take.
//
// Requests, bytes and connections are counted at the registries; processor time
// and memory are the system's own figures of the tool's processes.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
