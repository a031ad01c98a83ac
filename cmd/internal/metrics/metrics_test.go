package metrics

import (
	"context"
	"errors"
	"io"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/transship/transship/replicator"
	"github.com/transship/transship/state"
	"github.com/transship/transship/state/sqlite"
)

type lags []replicator.Lag

func (l lags) Lags(context.Context) ([]replicator.Lag, error) {
	if l == nil {
		return nil, errors.New("state does not answer")
	}
	return l, nil
}

// store has a row that is due, one that is not, and one that runs.
func store(t *testing.T) state.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "state.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	asks := []state.Ask{{Key: "run/a", Priority: 1}, {Key: "run/b"}, {Key: "run/c", NotBefore: time.Hour}}
	if err := s.Ask(t.Context(), asks...); err != nil {
		t.Fatal(err)
	}
	if c, err := s.Take(t.Context()); err != nil || c == nil {
		t.Fatal(c, err)
	}
	return s
}

func filled(t *testing.T, l lags) *Metrics {
	m := New("v1")
	m.Read(l, store(t))
	m.Gauge("spool_bytes", "Bytes.", func() float64 { return 5 })
	m.Job(replicator.Report{ByRule: map[string]state.Figures{"apps": {BytesRead: 10, BytesSent: 20, Copied: 2, Mounted: 3, BytesMounted: 30}}}, time.Second, nil)
	m.Job(replicator.Report{Failures: []replicator.Failure{{}}}, time.Second, nil)
	m.Job(replicator.Report{}, time.Minute, errors.New("source"))
	m.Job(replicator.Report{Interrupted: true}, time.Minute, nil)
	m.Request("r.example", "get blob", 200)
	m.Request("r.example", "get blob", 0)
	m.Request("r.example", "get blob", 123456)
	m.Pass(state.Pass{Rule: "apps", Started: time.Unix(10, 0), Ended: time.Unix(13, 0), Outcome: state.Partly})
	m.Waited("r.example", "quota", 1500*time.Millisecond)
	m.Throttled("r.example")
	m.ReadHosts(func() []Host {
		return []Host{{Name: "r.example", Width: 16, Reads: 3, Writes: 2, Quotas: map[string]float64{"PutImage": 0.8}}, {Name: "q.example"}}
	})
	m.Policy(nil)
	m.Policy(errors.New("bad"))
	return m
}

func scrape(t *testing.T, m *Metrics) string {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "/metrics", nil))
	raw, err := io.ReadAll(w.Result().Body)
	if err != nil || w.Code != 200 {
		t.Fatalf("status %d, %v: %s", w.Code, err, raw)
	}
	return string(raw)
}

// TestPolicyRefused holds that the first refusal is an increase, and that the alert
// goes when the policy is mended.
func TestPolicyRefused(t *testing.T) {
	m := New("v1")
	for _, step := range []struct {
		load func()
		want []string
	}{
		{func() {}, []string{`transship_policy_loads_total{result="refused"} 0`, `transship_policy_loads_total{result="in force"} 0`, `transship_policy_refused 0`}},
		{func() { m.Policy(errors.New("bad")) }, []string{`transship_policy_loads_total{result="refused"} 1`, `transship_policy_refused 1`}},
		{func() { m.Policy(nil) }, []string{`transship_policy_loads_total{result="in force"} 1`, `transship_policy_refused 0`}},
	} {
		step.load()
		text := scrape(t, m)
		for _, line := range step.want {
			if !strings.Contains(text, line+"\n") {
				t.Errorf("missing: %s", line)
			}
		}
	}
}

// TestExposition holds names, labels and values of what is told.
func TestExposition(t *testing.T) {
	m := filled(t, lags{{Rule: "apps", Target: "t.example", State: replicator.Behind, Behind: 90 * time.Second, Late: true,
		Surveyed: time.Unix(1000, 0), InStep: 7, Missing: 2, Failed: 1}})
	text := scrape(t, m)
	for _, line := range []string{
		`transship_build_info{version="v1"} 1`,
		`transship_lag_seconds{rule="apps",target="t.example"} 90`,
		`transship_lag_exceeded{rule="apps",target="t.example"} 1`,
		`transship_survey_timestamp_seconds{rule="apps",target="t.example"} 1000`,
		`transship_target_state{rule="apps",state="behind",target="t.example"} 1`,
		`transship_tags{rule="apps",state="in step",target="t.example"} 7`,
		`transship_tags{rule="apps",state="missing",target="t.example"} 2`,
		`transship_tags{rule="apps",state="failed",target="t.example"} 1`,
		`transship_queue_jobs{state="running"} 1`,
		`transship_queue_jobs{state="due"} 1`,
		`transship_queue_jobs{state="later"} 1`,
		`transship_jobs_total{outcome="done"} 1`,
		`transship_jobs_total{outcome="some failed"} 1`,
		`transship_jobs_total{outcome="failed"} 1`,
		`transship_jobs_total{outcome="interrupted"} 1`,
		`transship_job_duration_seconds_count{outcome="done"} 1`,
		`transship_blob_bytes_total{rule="apps",what="read"} 10`,
		`transship_blob_bytes_total{rule="apps",what="uploaded"} 20`,
		`transship_blob_bytes_total{rule="apps",what="mounted"} 30`,
		`transship_blobs_total{how="mounted",rule="apps"} 3`,
		`transship_tag_results_total{outcome="copied",rule="apps"} 2`,
		`transship_registry_requests_total{code="200",host="r.example",operation="get blob"} 1`,
		`transship_registry_requests_total{code="0",host="r.example",operation="get blob"} 2`,
		`transship_policy_loads_total{result="in force"} 1`,
		`transship_policy_loads_total{result="refused"} 1`,
		`transship_policy_refused 1`,
		`transship_spool_bytes 5`,
		`transship_passes_total{outcome="some failed",rule="apps"} 1`,
		`transship_pass_duration_seconds_sum{outcome="some failed"} 3`,
		`transship_registry_wait_seconds_total{host="r.example",reason="quota"} 1.5`,
		`transship_registry_throttled_total{host="r.example"} 1`,
		`transship_registry_width{host="r.example"} 16`,
		`transship_registry_width{host="q.example"} 0`,
		`transship_registry_in_flight_requests{class="read",host="r.example"} 3`,
		`transship_registry_in_flight_requests{class="write",host="r.example"} 2`,
		`transship_registry_quota_ratio{host="r.example",quota="PutImage"} 0.8`,
		"# TYPE process_resident_memory_bytes gauge",
	} {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("missing: %s", line)
		}
	}
	if t.Failed() {
		t.Log(text)
	}
}

// TestConventions holds the names to what Prometheus asks of names.
func TestConventions(t *testing.T) {
	problems, err := testutil.GatherAndLint(filled(t, lags{{Rule: "apps", Target: "t"}}).registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if strings.HasPrefix(p.Metric, "transship_") {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
}

// TestStateFails holds that what was counted is told although state does not answer.
func TestStateFails(t *testing.T) {
	if text := scrape(t, filled(t, nil)); !strings.Contains(text, "transship_jobs_total") || strings.Contains(text, "transship_lag_seconds{") {
		t.Errorf("told:\n%s", text)
	}
}
