// Package trace exports what runs do as OpenTelemetry traces: a span for each pass,
// below it its jobs, their images and the blobs that these bring. Spans name rules,
// registries, repositories, tags and digests, and hold no credential and no URL.
//
// A collector that is away or hostile costs spans and nothing else: what is kept for
// it, and the time that it is waited for, are bounded.
package trace

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/replicator"
	"github.com/transship/transship/replicator/jobs"
	"github.com/transship/transship/replicator/plan"
	"github.com/transship/transship/replicator/transfer"
	"github.com/transship/transship/state"
)

// A Tracer makes spans of what it is told. It is safe for concurrent use.
type Tracer struct {
	provider *sdk.TracerProvider
	tracer   trace.Tracer
	out      *exporter
}

var (
	_ replicator.Tracer = (*Tracer)(nil)
	_ jobs.Tracer       = (*Tracer)(nil)
)

// key is where a context has the span that it belongs to. It is ours alone: the
// clouds' own clients would make spans below one that they knew, with URLs in them.
type key struct{}

// start begins a span below that of ctx.
func (t *Tracer) start(ctx context.Context, name string, kv ...attribute.KeyValue) (context.Context, trace.Span) {
	parent := context.Background()
	if above, ok := ctx.Value(key{}).(trace.SpanContext); ok {
		parent = trace.ContextWithSpanContext(parent, above)
	}
	_, s := t.tracer.Start(parent, name, trace.WithAttributes(kv...))
	return context.WithValue(ctx, key{}, s.SpanContext()), s
}

// Pass implements [replicator.Tracer] and [jobs.Tracer].
func (t *Tracer) Pass(ctx context.Context, rule, trigger string) (context.Context, func(state.Pass)) {
	ctx, s := t.start(ctx, "pass", text("rule", rule), text("trigger", trigger))
	return ctx, func(p state.Pass) {
		if p.Outcome != state.Running { // else it goes on in its jobs
			s.SetAttributes(text("outcome", string(p.Outcome)))
			s.SetAttributes(figures(p.Figures)...)
		}
		if p.Error != "" {
			s.SetStatus(codes.Error, bounded(p.Error))
		}
		s.End()
	}
}

// Job implements [replicator.Tracer].
func (t *Tracer) Job(ctx context.Context, job replicator.Job) (context.Context, func(replicator.Report, error)) {
	ctx, s := t.start(ctx, "job", jobAttributes(job)...)
	return ctx, func(r replicator.Report, err error) {
		s.SetAttributes(figures(r.Figures)...)
		switch {
		case r.Interrupted:
			s.SetAttributes(text("outcome", string(state.Interrupted)))
		case err != nil:
			fail(s, err, "")
		case len(r.Failures) > 0:
			s.SetAttributes(text("outcome", string(state.Partly)))
			s.SetStatus(codes.Error, bounded(r.Failures[0].Reason))
		case len(r.Waiting) > 0:
			s.SetAttributes(text("outcome", string(state.Waited)))
		default:
			s.SetAttributes(text("outcome", string(state.Succeeded)))
		}
		s.End()
	}
}

// Image implements [transfer.Tracer].
func (t *Tracer) Image(ctx context.Context, target plan.Place, img *plan.Image) (context.Context, func(transfer.Result)) {
	ctx, s := t.start(ctx, "image", imageAttributes(target, img)...)
	return ctx, func(r transfer.Result) {
		s.SetAttributes(figures(r.Figures)...)
		ended(s, string(state.Succeeded), r.Err, r.Side)
	}
}

// Blob implements [transfer.Tracer].
func (t *Tracer) Blob(ctx context.Context, target plan.Place, blob plan.Blob) (context.Context, func(plan.Have, error)) {
	ctx, s := t.start(ctx, "blob", text("target", target.Registry), text("repository", target.Repo),
		text("digest", blob.Digest.String()), number("size", blob.Size))
	return ctx, func(how plan.Have, err error) {
		ended(s, came(how), err, "")
	}
}

// came says how a blob came to be there, in the words of the metrics.
func came(how plan.Have) string {
	switch how {
	case plan.Mount:
		return "mounted"
	case plan.Here:
		return "present"
	}
	return "uploaded"
}

// ended ends the span of what came to outcome, unless err says something else.
func ended(s trace.Span, outcome string, err error, side string) {
	switch {
	case err == nil:
		s.SetAttributes(text("outcome", outcome))
	case interrupted(err):
		s.SetAttributes(text("outcome", string(state.Interrupted)))
	case providers.KindOf(err) == providers.Waiting:
		s.SetAttributes(text("outcome", string(state.Waited)))
	default:
		fail(s, err, side)
	}
	s.End()
}

// fail marks the span of what has failed.
func fail(s trace.Span, err error, side string) {
	s.SetAttributes(text("outcome", string(state.FailedWhole)), attribute.String("error.type", providers.KindOf(err).String()))
	if side != "" {
		s.SetAttributes(text("side", side))
	}
	if hint := providers.HintOf(err); hint != "" {
		s.SetAttributes(text("hint", hint))
	}
	s.SetStatus(codes.Error, bounded(err.Error()))
}

// Note implements [jobs.Tracer]: it is a traceparent of W3C's Trace Context.
func (t *Tracer) Note(ctx context.Context) string {
	s, ok := ctx.Value(key{}).(trace.SpanContext)
	if !ok {
		return ""
	}
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(trace.ContextWithSpanContext(ctx, s), carrier)
	return carrier[traceparent]
}

// Resume implements [jobs.Tracer].
func (t *Tracer) Resume(ctx context.Context, note string) context.Context {
	found := propagation.TraceContext{}.Extract(context.Background(), propagation.MapCarrier{traceparent: note})
	if s := trace.SpanContextFromContext(found); s.IsValid() {
		return context.WithValue(ctx, key{}, s)
	}
	return ctx
}

const traceparent = "traceparent"
