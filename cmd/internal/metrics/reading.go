package metrics

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/transship/transship/replicator"
)

// A reading is what is read from state when somebody asks.
type reading struct {
	lags  Reader
	queue Queue
}

// patience is how long state may take to tell.
const patience = 10 * time.Second

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("transship_"+name, help, labels, nil)
}

var (
	lagSeconds = desc("lag_seconds", "How far a target is behind its source: the age of the oldest tag that is wanted and missing, "+
		"or the time since which the rule should have looked.", "rule", "target")
	late = desc("lag_exceeded", "1 while the lag is above the rule's maxLag.", "rule", "target")
	seen = desc("survey_timestamp_seconds", "When the repository was looked at that was not for longest.", "rule", "target")
	step = desc("target_state", "1 for the state of the target: in step, behind, initializing, paused.", "rule", "target", "state")
	tags = desc("tags", "Tags by where they stand: in step, missing, failed, conflict, refused, cooling, gone.", "rule", "target", "state")
	rows = desc("queue_jobs", "Rows of the queue: running, due, later.", "state")
	old  = desc("queue_oldest_seconds", "For how long the row that is due has waited which has waited longest.")
)

// Describe implements prometheus.Collector.
func (r *reading) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{lagSeconds, late, seen, step, tags, rows, old} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (r *reading) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	lags, err := r.lags.Lags(ctx)
	if err != nil {
		ch <- prometheus.NewInvalidMetric(lagSeconds, err)
	}
	for _, l := range lags {
		collectLag(l, gauge)
	}
	depth, err := r.queue.Depth(ctx)
	if err != nil {
		ch <- prometheus.NewInvalidMetric(rows, err)
		return
	}
	gauge(rows, float64(depth.Running), "running")
	gauge(rows, float64(depth.Due), "due")
	gauge(rows, float64(depth.Later), "later")
	gauge(old, depth.Oldest.Seconds())
}

func collectLag(l replicator.Lag, gauge func(*prometheus.Desc, float64, ...string)) {
	exceeded := 0.0
	if l.Late {
		exceeded = 1
	}
	gauge(lagSeconds, l.Behind.Seconds(), l.Rule, l.Target)
	gauge(late, exceeded, l.Rule, l.Target)
	gauge(seen, float64(l.Surveyed.UnixMilli())/1000, l.Rule, l.Target)
	gauge(step, 1, l.Rule, l.Target, string(l.State))
	for name, n := range map[string]int64{"in step": l.InStep, "missing": l.Missing, "failed": l.Failed, "conflict": l.Conflict,
		"refused": l.Refused, "cooling": l.Cooling, "gone": l.Gone} {
		gauge(tags, float64(n), l.Rule, l.Target, name)
	}
}
