// Package tracetest is a collector of OpenTelemetry traces on loopback, for tests.
package tracetest

import (
	"cmp"
	"compress/gzip"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	traces "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// A Span is one that the collector was sent.
type Span struct {
	Trace, ID, Parent string // in hex; Parent is "" for a root
	Name              string
	Attributes        map[string]string // lists are joined by commas
	Resource          map[string]string
	Error             string // its status, "" if that is not an error
	Raw               *traces.Span
}

// A Collector takes OTLP over HTTP. It is safe for concurrent use.
type Collector struct {
	server *httptest.Server
	stop   chan struct{}

	mu      sync.Mutex
	hangs   bool
	answers int
	asked   int
	spans   []Span
	bad     []error
}

// Start starts a Collector; the caller closes it.
func Start() *Collector {
	c := &Collector{stop: make(chan struct{}), answers: http.StatusOK}
	c.server = httptest.NewServer(http.HandlerFunc(c.serve))
	return c
}

// URL is its address, for OTEL_EXPORTER_OTLP_ENDPOINT.
func (c *Collector) URL() string { return c.server.URL }

// Close ends it; what hangs is let go.
func (c *Collector) Close() {
	close(c.stop)
	c.server.Close()
}

// Hang keeps every request without an answer from now on.
func (c *Collector) Hang() { c.mu.Lock(); defer c.mu.Unlock(); c.hangs = true }

// Answer answers with a status from now on.
func (c *Collector) Answer(status int) { c.mu.Lock(); defer c.mu.Unlock(); c.answers = status }

// Asked is how many requests came.
func (c *Collector) Asked() int { c.mu.Lock(); defer c.mu.Unlock(); return c.asked }

// Spans returns what came so far, and what was no OTLP.
func (c *Collector) Spans() ([]Span, []error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.spans), slices.Clone(c.bad)
}

func (c *Collector) serve(w http.ResponseWriter, r *http.Request) {
	spans, err := read(r)
	c.mu.Lock()
	c.asked++
	hangs, status := c.hangs, c.answers
	if err != nil {
		c.bad = append(c.bad, err)
	} else if status == http.StatusOK && !hangs {
		c.spans = append(c.spans, spans...)
	}
	c.mu.Unlock()
	if hangs {
		select {
		case <-c.stop:
		case <-r.Context().Done():
		}
		return
	}
	w.WriteHeader(status)
}

// read decodes a request.
func read(r *http.Request) (spans []Span, err error) {
	if r.URL.Path != "/v1/traces" || r.Header.Get("Content-Type") != "application/x-protobuf" {
		return nil, fmt.Errorf("%s %s of %s", r.Method, r.URL.Path, r.Header.Get("Content-Type"))
	}
	body := io.Reader(r.Body)
	if r.Header.Get("Content-Encoding") == "gzip" {
		if body, err = gzip.NewReader(body); err != nil {
			return nil, err
		}
	}
	raw, err := io.ReadAll(body)
	if err != nil {
		return nil, err
	}
	var in collector.ExportTraceServiceRequest
	if err := proto.Unmarshal(raw, &in); err != nil {
		return nil, err
	}
	for _, resource := range in.ResourceSpans {
		for _, scope := range resource.ScopeSpans {
			for _, s := range scope.Spans {
				spans = append(spans, spanOf(s, texts(resource.Resource.Attributes)))
			}
		}
	}
	return spans, nil
}

func spanOf(s *traces.Span, resource map[string]string) Span {
	span := Span{Trace: hex.EncodeToString(s.TraceId), ID: hex.EncodeToString(s.SpanId), Parent: hex.EncodeToString(s.ParentSpanId),
		Name: s.Name, Attributes: texts(s.Attributes), Resource: resource, Raw: s}
	if s.Status.GetCode() == traces.Status_STATUS_CODE_ERROR {
		span.Error = cmp.Or(s.Status.GetMessage(), "no message")
	}
	return span
}

func texts(kv []*common.KeyValue) map[string]string {
	all := map[string]string{}
	for _, a := range kv {
		all[a.Key] = textOf(a.Value)
	}
	return all
}

func textOf(v *common.AnyValue) string {
	switch v := v.GetValue().(type) {
	case *common.AnyValue_StringValue:
		return v.StringValue
	case *common.AnyValue_IntValue:
		return fmt.Sprint(v.IntValue)
	case *common.AnyValue_ArrayValue:
		var items []string
		for _, item := range v.ArrayValue.Values {
			items = append(items, textOf(item))
		}
		return strings.Join(items, ",")
	}
	return fmt.Sprint(v.GetValue())
}
