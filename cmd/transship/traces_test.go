package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/transship/transship/cmd/internal/trace/tracetest"
)

// cmdCollector starts a collector of traces, to which the program sends from now on;
// "hangs" makes it answer nothing, a number is the status that it answers with.
func cmdCollector(ts *testscript.TestScript, _ bool, args []string) {
	w := worldOf(ts)
	if w.traces == nil {
		w.traces = tracetest.Start()
		ts.Defer(w.traces.Close)
		ts.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", w.traces.URL())
		ts.Setenv("OTEL_BSP_SCHEDULE_DELAY", "20")
	}
	switch word := first(args); word {
	case "":
	case "hangs":
		w.traces.Hang()
	default:
		status, err := strconv.Atoi(word)
		ts.Check(err)
		w.traces.Answer(status)
	}
}

// cmdSpans prints the trees of the spans that came, with some of their attributes;
// with -wait TEXT it waits until they hold the text.
func cmdSpans(ts *testscript.TestScript, _ bool, args []string) {
	wait := ""
	if len(args) > 1 && args[0] == "-wait" {
		wait, args = args[1], args[2:]
	}
	ts.Check(within(context.Background(), comes, soon, func() error {
		spans, bad := worldOf(ts).traces.Spans()
		for _, err := range bad {
			ts.Fatalf("the collector was sent what is no OTLP: %v", err)
		}
		trees := tracetest.Tree(spans, args...)
		if !strings.Contains(trees, wait) {
			return fmt.Errorf("never any %q in\n%s", wait, trees)
		}
		_, err := fmt.Fprint(ts.Stdout(), trees)
		return err
	}))
}
