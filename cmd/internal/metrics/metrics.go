// Package metrics tells Prometheus what the daemon does: what happens is counted as
// it is told of, and what is known is read when somebody asks. It changes nothing.
//
// Labels are rules, target hosts, operations and codes: as many as the policy has,
// never tags, repositories or digests.
package metrics

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/transship/transship/replicator"
	"github.com/transship/transship/state"
)

// A Reader is what is read when somebody asks.
type Reader interface {
	Lags(ctx context.Context) ([]replicator.Lag, error)
}

// A Queue is the queue of work.
type Queue interface {
	Depth(ctx context.Context) (state.Depth, error)
}

// A Host is how a registry's host is asked now.
type Host struct {
	Name          string
	Width         int                // the most requests in flight, of reads and of writes each
	Reads, Writes int                // in flight
	Quotas        map[string]float64 // the share of each published quota that is kept within
}

// Metrics are the daemon's. They are safe for concurrent use.
type Metrics struct {
	registry *prometheus.Registry

	jobs     *prometheus.CounterVec
	took     *prometheus.HistogramVec
	bytes    *prometheus.CounterVec
	blobs    *prometheus.CounterVec
	images   *prometheus.CounterVec
	requests *prometheus.CounterVec
	policies *prometheus.CounterVec
	refused  prometheus.Gauge

	passes    *prometheus.CounterVec
	lasted    *prometheus.HistogramVec
	waits     *prometheus.CounterVec
	throttles *prometheus.CounterVec
}

// New returns metrics that nothing has been counted in.
func New(version string) *Metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "transship_" + name, Help: help}, labels)
	}
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		jobs:     counter("jobs_total", "Jobs that have run, by how they ended: done, some failed, failed, interrupted.", "outcome"),
		bytes: counter("blob_bytes_total", "Bytes of blobs, by what became of them: read from a source, reread, "+
			"uploaded to a target, saved (mounted, or there already), mounted (of those saved), imported by the target itself.", "rule", "what"),
		blobs:    counter("blobs_total", "Blobs, by how they came to a target: uploaded, mounted, present.", "rule", "how"),
		images:   counter("tag_results_total", "Tags that jobs looked at, by what they came to: copied, in step, failed, kept, waiting.", "rule", "outcome"),
		requests: counter("registry_requests_total", "Requests to registries and their token services, by operation and status; 0 is no answer.", "host", "operation", "code"),
		policies: counter("policy_loads_total", "Policies that were read, by whether they could be used.", "result"),
		refused: prometheus.NewGauge(prometheus.GaugeOpts{Name: "transship_policy_refused",
			Help: "1 while the policy on disk cannot be used and the one before it is in force."}),
		passes: counter("passes_total", "Passes that have ended, by how: done, some failed, failed, interrupted, waiting for their source.", "rule", "outcome"),
		waits: counter("registry_wait_seconds_total", "Time that requests to a host, and their bodies, have waited, by what for: width, requests (a second), "+
			"quota (a published one), bytes (a second), link (bytes a second from a source). Waits of requests side by side add up.", "host", "reason"),
		throttles: counter("registry_throttled_total", "Answers by which a host said that it wants to be asked less: 429, and 503 with a Retry-After.", "host"),
		lasted: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "transship_pass_duration_seconds",
			Help: "How long passes took, from the list of their repositories to the end of their last job.", Buckets: prometheus.ExponentialBuckets(1, 4, 9)}, []string{"outcome"}),
		took: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "transship_job_duration_seconds",
			Help: "How long jobs took.", Buckets: prometheus.ExponentialBuckets(0.1, 4, 9)}, []string{"outcome"}),
	}
	built := prometheus.NewGauge(prometheus.GaugeOpts{Name: "transship_build_info", Help: "1, with the program's version.",
		ConstLabels: prometheus.Labels{"version": version}})
	built.Set(1)
	for _, result := range []string{policyInForce, policyRefused} { // an increase from nothing is none to Prometheus
		m.policies.WithLabelValues(result)
	}
	m.registry.MustRegister(built, m.jobs, m.took, m.bytes, m.blobs, m.images, m.requests, m.policies, m.refused,
		m.passes, m.lasted, m.waits, m.throttles,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Read has lags and the queue read each time that somebody asks.
func (m *Metrics) Read(r Reader, q Queue) { m.registry.MustRegister(&reading{r, q}) }

// ReadHosts has hosts read each time that somebody asks; each has a name of its own.
func (m *Metrics) ReadHosts(hosts func() []Host) { m.registry.MustRegister(hostReading(hosts)) }

// Gauge has value read each time that somebody asks.
func (m *Metrics) Gauge(name, help string, value func() float64) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "transship_" + name, Help: help}, value))
}

// Handler answers with the exposition.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4, Timeout: 20 * time.Second, ErrorHandling: promhttp.ContinueOnError})
}

// Job counts a run of a job.
func (m *Metrics) Job(r replicator.Report, took time.Duration, err error) {
	outcome := string(state.Succeeded)
	switch {
	case r.Interrupted:
		outcome = string(state.Interrupted)
	case err != nil:
		outcome = string(state.FailedWhole)
	case len(r.Failures) > 0:
		outcome = string(state.Partly)
	}
	m.jobs.WithLabelValues(outcome).Inc()
	m.took.WithLabelValues(outcome).Observe(took.Seconds())
	for rule, f := range r.ByRule {
		m.figures(rule, f)
	}
}

// Pass counts a pass that has ended.
func (m *Metrics) Pass(p state.Pass) {
	m.passes.WithLabelValues(p.Rule, string(p.Outcome)).Inc()
	m.lasted.WithLabelValues(string(p.Outcome)).Observe(p.Ended.Sub(p.Started).Seconds())
}

// Waited counts the time that a request to a host has waited for a reason.
func (m *Metrics) Waited(host, reason string, took time.Duration) {
	m.waits.WithLabelValues(host, reason).Add(took.Seconds())
}

// Throttled counts an answer by which a host wants to be asked less.
func (m *Metrics) Throttled(host string) { m.throttles.WithLabelValues(host).Inc() }

func (m *Metrics) figures(rule string, f state.Figures) {
	add := func(v *prometheus.CounterVec, label string, n int64) {
		if n > 0 { // what never happened is not told: rules are many
			v.WithLabelValues(rule, label).Add(float64(n))
		}
	}
	add(m.bytes, "read", f.BytesRead)
	add(m.bytes, "reread", f.BytesRead2)
	add(m.bytes, "uploaded", f.BytesSent)
	add(m.bytes, "saved", f.BytesSaved)
	add(m.bytes, "mounted", f.BytesMounted)
	add(m.bytes, "imported", f.BytesImported)
	add(m.blobs, "uploaded", f.BlobsSent)
	add(m.blobs, "mounted", f.Mounted)
	add(m.blobs, "present", f.Present)
	add(m.images, "copied", f.Copied)
	add(m.images, "in step", f.InStep)
	add(m.images, "failed", f.Failed)
	add(m.images, "kept", f.Kept)
	add(m.images, "waiting", f.Waiting)
}

// Request counts one request to a registry. Operations are those of the program,
// and codes those that HTTP has.
func (m *Metrics) Request(host, operation string, status int) {
	if status < 0 || status > 999 {
		status = 0
	}
	m.requests.WithLabelValues(host, operation, strconv.Itoa(status)).Inc()
}

const policyInForce, policyRefused = "in force", "refused"

// Policy counts a policy that was read.
func (m *Metrics) Policy(err error) {
	if err != nil {
		m.policies.WithLabelValues(policyRefused).Inc()
		m.refused.Set(1)
		return
	}
	m.policies.WithLabelValues(policyInForce).Inc()
	m.refused.Set(0)
}
