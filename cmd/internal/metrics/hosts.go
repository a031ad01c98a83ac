package metrics

import "github.com/prometheus/client_golang/prometheus"

// A hostReading is what is read of hosts when somebody asks.
type hostReading func() []Host

var (
	width = desc("registry_width", "The most requests that a host is sent at once, of reads and of writes each, as it was found to take.", "host")
	out   = desc("registry_in_flight_requests", "Requests under way to a host: read, write.", "host", "class")
	share = desc("registry_quota_ratio", "The share of a published quota that requests keep within, from 0 to 1; of one that each repository or project "+
		"has for itself, the least. Quotas are told of once they are in use.", "host", "quota")
)

// Describe implements prometheus.Collector.
func (r hostReading) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{width, out, share} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (r hostReading) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	for _, h := range r() {
		gauge(width, float64(h.Width), h.Name)
		gauge(out, float64(h.Reads), h.Name, "read")
		gauge(out, float64(h.Writes), h.Name, "write")
		for quota, v := range h.Quotas {
			gauge(share, v, h.Name, quota)
		}
	}
}
