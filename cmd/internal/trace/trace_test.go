package trace

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/transship/transship/cmd/internal/trace/tracetest"
	"github.com/transship/transship/policy"
	"github.com/transship/transship/providers"
	"github.com/transship/transship/replicator"
	"github.com/transship/transship/replicator/plan"
	"github.com/transship/transship/replicator/transfer"
	"github.com/transship/transship/state"
)

// open returns a Tracer with its collector and log.
func open(t *testing.T) (*Tracer, *tracetest.Collector, *bytes.Buffer) {
	t.Helper()
	c := tracetest.Start()
	t.Cleanup(c.Close)
	t.Setenv(envEndpoint, c.URL())
	log := &bytes.Buffer{}
	tracer, err := Open("v1", slog.New(slog.NewTextHandler(log, nil)))
	if err != nil || tracer == nil {
		t.Fatal(tracer, err)
	}
	return tracer, c, log
}

// sent closes the Tracer and returns what it has sent.
func sent(t *testing.T, tracer *Tracer, c *tracetest.Collector) []tracetest.Span {
	t.Helper()
	if err := tracer.Close(); err != nil {
		t.Fatal(err)
	}
	spans, bad := c.Spans()
	if len(bad) > 0 {
		t.Fatal(bad)
	}
	return spans
}

func image(tags ...string) *plan.Image {
	img := &plan.Image{Rule: "apps", From: plan.Place{Registry: "src", Repo: "app"}, Root: plan.Node{Descriptor: v1.Descriptor{Digest: v1.Hash{Algorithm: "sha256", Hex: "aa"}}}}
	for _, tag := range tags {
		img.Tags = append(img.Tags, plan.Tag{Name: tag})
	}
	return img
}

var to = plan.Place{Registry: "dst", Repo: "mirror/app"}

// TestAcrossProcesses holds that a job which another process runs stands below the
// pass that asked for it, and that what is no note changes nothing.
func TestAcrossProcesses(t *testing.T) {
	tracer, c, _ := open(t)
	asked, end := tracer.Pass(t.Context(), "apps", "schedule")
	note := tracer.Note(asked)
	end(state.Pass{Outcome: state.Running})
	for _, n := range []string{note, "", "00-zz", strings.Repeat("x", 1<<16)} {
		_, end := tracer.Job(tracer.Resume(t.Context(), n), replicator.Job{Key: "run/a"})
		end(replicator.Report{}, nil)
	}
	want := "job job=run/a outcome=done\njob job=run/a outcome=done\njob job=run/a outcome=done\npass rule=apps\n  job job=run/a outcome=done\n"
	if got := tracetest.Tree(sent(t, tracer, c), "rule", "job", "outcome"); got != want {
		t.Errorf("spans:\n%swant:\n%s", got, want)
	}
}

// TestOutcomes holds what spans say of how a step ended.
func TestOutcomes(t *testing.T) {
	denied := &providers.Error{Kind: providers.Denied, Op: "put blob", Ref: "dst/app", Hint: "grant push", Err: errors.New("403")}
	stopped := fmt.Errorf("%w: second signal", transfer.ErrInterrupted)
	for _, tt := range []struct {
		name string
		do   func(*Tracer, context.Context)
		want string
	}{
		{"blob mounted", func(tr *Tracer, ctx context.Context) {
			_, end := tr.Blob(ctx, to, plan.Blob{Descriptor: v1.Descriptor{Size: 7}})
			end(plan.Mount, nil)
		}, "blob size=7 outcome=mounted\n"},
		{"blob uploaded", func(tr *Tracer, ctx context.Context) {
			_, end := tr.Blob(ctx, to, plan.Blob{Descriptor: v1.Descriptor{Size: 7}})
			end(plan.Upload, nil)
		}, "blob size=7 outcome=uploaded\n"},
		{"blob brought by another replica", func(tr *Tracer, ctx context.Context) {
			_, end := tr.Blob(ctx, to, plan.Blob{Descriptor: v1.Descriptor{Size: 7}})
			end(plan.Here, nil)
		}, "blob size=7 outcome=present\n"},
		{"blob refused", func(tr *Tracer, ctx context.Context) {
			_, end := tr.Blob(ctx, to, plan.Blob{})
			end(plan.Upload, denied)
		}, "blob size=0 outcome=failed hint=grant push error=" + denied.Error() + "\n"},
		{"image refused", func(tr *Tracer, ctx context.Context) {
			_, end := tr.Image(ctx, to, image("v1"))
			end(transfer.Result{Err: denied, Side: transfer.Target})
		}, "image outcome=failed side=target hint=grant push error=" + denied.Error() + "\n"},
		{"image stopped", func(tr *Tracer, ctx context.Context) {
			_, end := tr.Image(ctx, to, image())
			end(transfer.Result{Err: stopped})
		}, "image outcome=interrupted\n"},
		{"job stopped", func(tr *Tracer, ctx context.Context) {
			_, end := tr.Job(ctx, replicator.Job{})
			end(replicator.Report{Interrupted: true}, nil)
		}, "job outcome=interrupted\n"},
		{"job without a source", func(tr *Tracer, ctx context.Context) {
			_, end := tr.Job(ctx, replicator.Job{})
			end(replicator.Report{}, denied)
		}, "job outcome=failed hint=grant push error=" + denied.Error() + "\n"},
		{"job that waits", func(tr *Tracer, ctx context.Context) {
			_, end := tr.Job(ctx, replicator.Job{})
			end(replicator.Report{Waiting: make([]replicator.Wait, 1)}, nil)
		}, "job outcome=waiting\n"},
		{"pass that came to nothing", func(tr *Tracer, ctx context.Context) {
			_, end := tr.Pass(ctx, "apps", "cli")
			end(state.Pass{Outcome: state.FailedWhole, Error: "no repository"})
		}, "pass outcome=failed error=no repository\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tracer, c, _ := open(t)
			tt.do(tracer, t.Context())
			if got := tracetest.Tree(sent(t, tracer, c), "size", "outcome", "side", "hint"); got != tt.want {
				t.Errorf("got  %swant %s", got, tt.want)
			}
		})
	}
}

// TestBounded holds that no text or list is longer than is said, whoever made it.
func TestBounded(t *testing.T) {
	tracer, c, _ := open(t)
	var tags []string
	var links []replicator.Link
	for i := range 1000 {
		tags = append(tags, fmt.Sprint("v", i))
		links = append(links, replicator.Link{Rule: policy.Rule{Name: fmt.Sprint("rule", i)}, To: plan.Place{Repo: tags[i]}})
	}
	lie := errors.New(strings.Repeat("a\xff", 1<<20))
	ctx, endJob := tracer.Job(t.Context(), replicator.Job{Key: "run/" + strings.Repeat("k", 1<<20), Links: links})
	_, endImage := tracer.Image(ctx, to, image(tags...))
	endImage(transfer.Result{Err: lie})
	endJob(replicator.Report{}, lie)
	spans := sent(t, tracer, c)
	if len(spans) != 2 {
		t.Fatalf("%d spans came", len(spans))
	}
	for _, s := range spans {
		if n := len(s.Raw.String()); n > 6000 {
			t.Errorf("%s has %d bytes", s.Name, n)
		}
	}
}

// TestResource holds who is said to speak, and that the environment has the last word.
func TestResource(t *testing.T) {
	t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment=dr")
	tracer, c, _ := open(t)
	_, end := tracer.Pass(t.Context(), "apps", "cli")
	end(state.Pass{})
	got := sent(t, tracer, c)[0].Resource
	if got["service.name"] != "transship" || got["service.version"] != "v1" || got["deployment.environment"] != "dr" {
		t.Errorf("resource %v", got)
	}
	t.Setenv("OTEL_SERVICE_NAME", "mirror")
	tracer, c, _ = open(t)
	_, end = tracer.Pass(t.Context(), "apps", "cli")
	end(state.Pass{})
	if got := sent(t, tracer, c)[0].Resource["service.name"]; got != "mirror" {
		t.Errorf("service.name is %q", got)
	}
}

// TestWanted holds when there are traces.
func TestWanted(t *testing.T) {
	for _, tt := range []struct {
		env    map[string]string
		wanted bool
		fails  string
	}{
		{env: map[string]string{}},
		{env: map[string]string{envEndpoint: "http://c:4318"}, wanted: true},
		{env: map[string]string{envTracesEndpoint: "https://c/v1/traces"}, wanted: true},
		{env: map[string]string{envEndpoint: "http://c:4318", envDisabled: "TRUE"}},
		{env: map[string]string{envEndpoint: "http://c:4318", envExporter: "none"}},
		{env: map[string]string{envEndpoint: "http://c:4318", envExporter: "zipkin"}, fails: "otlp and none are known"},
		{env: map[string]string{envEndpoint: "http://c:4317", envProtocol: "grpc"}, fails: "is grpc"},
		{env: map[string]string{envEndpoint: "http://c:4317", envProtocol: "grpc", envTracesProtocol: "http/protobuf"}, wanted: true},
		{env: map[string]string{envEndpoint: "c:4318"}, fails: envEndpoint + " is no http"},
		{env: map[string]string{envEndpoint: "http://user:secret@%zz"}, fails: envEndpoint + " is no http"},
	} {
		t.Run(fmt.Sprint(tt.env), func(t *testing.T) {
			for name, value := range tt.env {
				t.Setenv(name, value)
			}
			got, err := wanted()
			if got != tt.wanted || (err != nil) != (tt.fails != "") || err != nil && !strings.Contains(err.Error(), tt.fails) {
				t.Errorf("wanted %v, %v", got, err)
			}
			if err != nil && strings.Contains(err.Error(), "secret") {
				t.Errorf("tells a secret: %v", err)
			}
		})
	}
}
