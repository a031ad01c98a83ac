package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Exit codes, as transship's own.
const (
	exitDone   = 0 // measured, and transship holds its bars
	exitFailed = 1 // could not measure, or was interrupted
	exitUsage  = 2
	exitMissed = 3 // measured, and transship misses a bar
)

// options is what the flags ask for.
type options struct {
	scenarios []string
	tools     []string
	runs      int
	scale     float64
	seed      uint64
	transship string
	peers     string
	timeout   time.Duration
	format    string
	outputs   []string
	updates   []string
	from      []string
	list      bool
	verbose   bool
}

const help = `transship-bench measures transship and other tools at the same work, on this
machine alone. It starts registries on loopback, fills one, has each tool copy all
of it, verifies the copies to the last bit, and prints requests, bytes,
connections, processor time, wall time and peak memory beside the least that the
work can take.

Usage:
  transship-bench [flags]

Examples:
  .ci/bench                                              # installs the peers, then all of it
  go run ./cmd/transship-bench --list
  go run ./cmd/transship-bench --scenario first --runs 1 --tool transship
  go run ./cmd/transship-bench --scenario first,first-far --output bench.json --output bench.md
  go run ./cmd/transship-bench --from bench.json --update docs/benchmarks.md

What to measure:
      --scenario NAME[,NAME]  only these scenarios (default: all); may be repeated
      --tool NAME[,NAME]      only these tools (default: all); may be repeated
      --runs N                runs of each tool, one tool after the other in turns (default 5);
                              a tool whose first run takes more than a minute has only that one
      --scale X               sizes of layers, as a part of the real ones (default 1); counts stay
      --seed N                decides sizes, faults and the random corpus (default 17)
      --timeout DURATION      most time for one run; then it is killed and what it did is shown (default 5m)
      --list                  list scenarios and tools, and end

With what:
      --transship PATH        the transship to measure (default: built from this checkout)
      --peers FOLDER          where regsync, crane and skopeo are (default .ci/peers/bin, then PATH)

What to print:
      --format FORMAT         of standard output: text, markdown or json (default text)
      --output FILE           write to FILE too, by its ending: .txt, .md, .json; may be repeated
      --update FILE           write the marked blocks of a Markdown FILE anew; may be repeated
      --from FILE             take what --output FILE.json wrote, instead of measuring it again;
                              may be repeated, later ones win; measures only what --scenario names
      --verbose               print what tools say
  -h, --help                  this text

Exit codes: 0 measured and transship holds its bars, 1 failed or interrupted, 2 usage,
3 measured and transship misses a bar.
`

// A list is a flag that may be repeated.
type list struct {
	to    *[]string
	split bool // at commas
}

func (l list) String() string { return "" }

func (l list) Set(value string) error {
	if !l.split {
		*l.to = append(*l.to, value)
		return nil
	}
	for name := range strings.SplitSeq(value, ",") {
		*l.to = append(*l.to, strings.TrimSpace(name))
	}
	return nil
}

// parse reads the flags. It has printed what is to be said when ok is false;
// code is then the exit code.
func parse(args []string, stdout, stderr io.Writer) (o options, code int, ok bool) {
	f := flag.NewFlagSet("transship-bench", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.Var(list{&o.scenarios, true}, "scenario", "")
	f.Var(list{&o.tools, true}, "tool", "")
	f.IntVar(&o.runs, "runs", 5, "")
	f.Float64Var(&o.scale, "scale", 1, "")
	f.Uint64Var(&o.seed, "seed", defaultSeed, "")
	f.DurationVar(&o.timeout, "timeout", 5*time.Minute, "")
	f.BoolVar(&o.list, "list", false, "")
	f.StringVar(&o.transship, "transship", "", "")
	f.StringVar(&o.peers, "peers", filepath.Join(".ci", "peers", "bin"), "")
	f.StringVar(&o.format, "format", "text", "")
	f.Var(list{&o.outputs, false}, "output", "")
	f.Var(list{&o.updates, false}, "update", "")
	f.Var(list{&o.from, false}, "from", "")
	f.BoolVar(&o.verbose, "verbose", false, "")
	err := f.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprint(stdout, help)
		return o, exitDone, false
	}
	if err == nil && f.NArg() > 0 {
		err = fmt.Errorf("unexpected argument %q", f.Arg(0))
	}
	if err == nil {
		err = o.check()
	}
	if err != nil {
		fmt.Fprintf(stderr, "transship-bench: %v\n  try: transship-bench --help\n", err)
		return o, exitUsage, false
	}
	return o, exitDone, true
}

// check finds what is wrong with the flags' values before anything is measured.
func (o options) check() error {
	known := func(flag string, given, names []string) error {
		for _, name := range given {
			if !slices.Contains(names, name) {
				return fmt.Errorf("%s: %q is not one of %s", flag, name, strings.Join(names, ", "))
			}
		}
		return nil
	}
	var wrong []error
	wrong = append(wrong, known("--scenario", o.scenarios, scenarioNames()), known("--tool", o.tools, toolNames()),
		known("--format", []string{o.format}, []string{"text", "markdown", "json"}))
	for _, file := range o.outputs {
		wrong = append(wrong, known("--output", []string{strings.TrimPrefix(filepath.Ext(file), ".")}, []string{"txt", "md", "json"}))
	}
	for _, file := range append(slices.Clone(o.from), o.updates...) {
		if _, err := os.Stat(file); err != nil {
			wrong = append(wrong, err)
		}
	}
	switch {
	case o.runs < 1:
		wrong = append(wrong, fmt.Errorf("--runs: %d is less than 1", o.runs))
	case o.scale <= 0 || o.scale > 1:
		wrong = append(wrong, fmt.Errorf("--scale: %g is not above 0 and at most 1", o.scale))
	case o.timeout <= 0:
		wrong = append(wrong, fmt.Errorf("--timeout: %s is no time", o.timeout))
	}
	return errors.Join(wrong...)
}

func scenarioNames() (names []string) {
	for _, s := range scenarios(1, 1) {
		names = append(names, s.name)
	}
	return names
}

func toolNames() (names []string) {
	for _, t := range knownTools() {
		names = append(names, t.name)
	}
	return names
}

// printList prints what there is to choose from.
func printList(w io.Writer) {
	g := grid{names: 1, words: 1, head: []string{"scenario", "what"}}
	for _, s := range scenarios(1, 1) {
		g.add(s.name, s.about)
	}
	g.text(w)
	fmt.Fprintln(w)
	g = grid{names: 1, words: 1, head: []string{"tool", "how it is run"}}
	for _, t := range knownTools() {
		g.add(t.name, t.about)
	}
	g.text(w)
}
