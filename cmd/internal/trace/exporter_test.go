package trace

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

// A moody exporter fails as it is told, or waits for the end.
type moody struct {
	sdk.SpanExporter
	err   error
	waits bool
}

func (m *moody) ExportSpans(ctx context.Context, _ []sdk.ReadOnlySpan) error {
	if m.waits {
		<-ctx.Done()
	}
	return errors.Join(m.err, ctx.Err())
}

// TestSaidOnce holds that a collector that is away is told of in one line, and one
// more when it is back; its answer is quoted no longer than is bounded.
func TestSaidOnce(t *testing.T) {
	var log bytes.Buffer
	m := &moody{}
	e := newExporter(m, slog.New(slog.NewTextHandler(&log, nil)))
	spans := tracetest.SpanStubs{{}, {}}.Snapshots()
	for _, err := range []error{nil, errors.New(strings.Repeat("x", 1<<20)), errors.New("again"), nil, nil} {
		m.err = err
		if err := e.ExportSpans(t.Context(), spans); err != nil {
			t.Error(err)
		}
	}
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	if len(lines) != 2 || !strings.Contains(lines[0], "traces are lost") || !strings.Contains(lines[1], "taken again\" lost=4") {
		t.Errorf("log:\n%.2000s", &log)
	}
	if log.Len() > 1000 {
		t.Errorf("%d bytes are logged", log.Len())
	}
}

// TestOver holds that nothing is waited for once the time is over.
func TestOver(t *testing.T) {
	var log bytes.Buffer
	e := newExporter(&moody{waits: true}, slog.New(slog.NewTextHandler(&log, nil)))
	e.limit()() // at once
	if err := e.ExportSpans(t.Context(), tracetest.SpanStubs{{}}.Snapshots()); err != nil {
		t.Error(err)
	}
	if !strings.Contains(log.String(), "context canceled") {
		t.Errorf("log: %s", &log)
	}
}
