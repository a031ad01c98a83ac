package main

import (
	"flag"
	"fmt"
	"io"
	"slices"
)

// Exit codes, as transship's own.
const (
	exitDone   = 0 // all that was claimed was seen to be true
	exitFailed = 1 // a command or a claim failed, or it was interrupted
	exitUsage  = 2
)

// options is what the flags ask for.
type options struct {
	keep   bool
	size   string
	output string
}

const help = `transship-demo shows transship at work on this machine alone.

It starts three clouds' registries on 127.0.0.1, which behave as Amazon ECR, Google
Artifact Registry and Azure Container Registry do: each with its own API, sign-in and
refusals, and with tokens that live for seconds. It fills the first with images made
of this machine's Go installation, and runs transship's own commands: plan, sync, sync
after one tag has moved, sync when nothing has changed, check. Then it prints what that
took in requests and bytes, counted at the registries, and what follows from it. It
needs no account, no configuration and no network, takes less than 300 MB in a
temporary folder, and removes it at the end.

Usage:
  transship-demo [flags]

Examples:
  go run ./cmd/transship-demo                 # about ten seconds
  go run ./cmd/transship-demo --keep          # then try commands of your own
  go run ./cmd/transship-demo --size small    # two seconds, no waiting as on a real network
  go run ./cmd/transship-demo -o json | jq .  # the figures, for scripts

Flags:
      --keep         leave the registries running until Ctrl-C, and say what to try
      --size SIZE    small or normal (default normal)
  -o, --output FMT   text, or json: the figures to standard output, the story to standard error
  -h, --help         this text

Exit codes: 0 all that is claimed was seen to be true, 1 something was not, or
interrupted, 2 usage.
`

// parse reads the flags. It has printed what is to be said when ok is false;
// code is then the exit code.
func parse(args []string, stdout, stderr io.Writer) (o options, code int, ok bool) {
	f := flag.NewFlagSet("transship-demo", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.BoolVar(&o.keep, "keep", false, "")
	f.StringVar(&o.size, "size", "normal", "")
	f.StringVar(&o.output, "output", "text", "")
	f.StringVar(&o.output, "o", "text", "")
	err := f.Parse(args)
	switch {
	case err == flag.ErrHelp:
		fmt.Fprint(stdout, help)
		return o, exitDone, false
	case err == nil && f.NArg() > 0:
		err = fmt.Errorf("unexpected argument %q", f.Arg(0))
	case err == nil && !slices.Contains([]string{"small", "normal"}, o.size):
		err = fmt.Errorf("--size: %q is not one of small, normal", o.size)
	case err == nil && !slices.Contains([]string{"text", "json"}, o.output):
		err = fmt.Errorf("--output: %q is not one of text, json", o.output)
	}
	if err != nil {
		fmt.Fprintf(stderr, "transship-demo: %v\n  try: transship-demo --help\n", err)
		return o, exitUsage, false
	}
	return o, exitDone, true
}
