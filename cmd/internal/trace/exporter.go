package trace

import (
	"context"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	sdk "go.opentelemetry.io/otel/sdk/trace"
)

// patience is how long a collector is waited for at the end.
const patience = 5 * time.Second

// retry is how a batch is tried again that the collector did not take.
var retry = otlptracehttp.RetryConfig{Enabled: true, InitialInterval: time.Second, MaxInterval: 10 * time.Second, MaxElapsedTime: 20 * time.Second}

// An exporter says once that spans are lost, and once that they are not any more. It
// fails nobody: who makes spans has something else to do.
type exporter struct {
	sdk.SpanExporter
	log *slog.Logger

	over context.Context // all that is waited for
	end  context.CancelFunc

	lost int // spans since they are lost; one goroutine exports
}

func newExporter(inner sdk.SpanExporter, log *slog.Logger) *exporter {
	over, end := context.WithCancel(context.Background())
	return &exporter{SpanExporter: inner, log: log, over: over, end: end}
}

// ExportSpans implements [sdk.SpanExporter]. It never fails.
func (e *exporter) ExportSpans(ctx context.Context, spans []sdk.ReadOnlySpan) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(e.over, cancel)()
	err := e.SpanExporter.ExportSpans(ctx, spans)
	switch {
	case err == nil && e.lost > 0:
		e.log.Info("traces are taken again", "lost", e.lost)
		e.lost = 0
	case err != nil && e.lost == 0:
		e.log.Warn("traces are lost: the collector does not take them; all else goes on", "err", bounded(err.Error()))
		fallthrough
	case err != nil:
		e.lost += len(spans)
	}
	return nil
}

// limit ends what is waited for after patience. What it returns ends it now.
func (e *exporter) limit() (done func()) {
	timer := time.AfterFunc(patience, e.end)
	return func() { timer.Stop(); e.end() }
}
