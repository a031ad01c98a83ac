package policy

import (
	"testing"
	"time"
)

// TestPace holds what flows when, and when that changes.
func TestPace(t *testing.T) {
	set, err := Parse("p.yaml", []byte(`
registries:
  a: {host: a.example.com, limits: {bytes: 1MB/s}}
  b: {host: b.example.com, limits: {hours: [{windows: ["00:00-24:00"], bytes: 2MB/s}]}}
limits:
  bytes: 9MB/s
  hours:
    - {windows: ["CRON_TZ=UTC Mon-Fri 12:00-13:00"], bytes: 3MB/s}
    - {windows: ["CRON_TZ=UTC Mon-Fri 08:00-12:00", "CRON_TZ=UTC Mon-Fri 11:00-18:00"], bytes: 2MB/s}
  links:
    - {from: a, to: b, hours: [{windows: ["CRON_TZ=Europe/Paris Sun 01:00-04:00"], bytes: 1kB/s}]}
rules: []
`))
	if err != nil {
		t.Fatal(err)
	}
	const day = "2026-11-23T" // a Monday
	for _, tt := range []struct {
		name string
		pace Pace
		at   string
		want ByteRate
		to   string
	}{
		{"no hours", set.Registries["a"].Limits.Pace(), day + "10:00:00Z", 1e6, ""},
		{"no bound", Limits{}.Pace(), day + "10:00:00Z", 0, ""},
		{"at all hours", set.Registries["b"].Limits.Pace(), day + "10:00:00Z", 2e6, ""},
		{"before", set.Limits.Pace(), day + "07:59:59Z", 9e6, day + "08:00:00Z"},
		{"from the first second on", set.Limits.Pace(), day + "08:00:00Z", 2e6, day + "12:00:00Z"},
		{"the first that is open counts", set.Limits.Pace(), day + "12:30:00Z", 3e6, day + "13:00:00Z"},
		{"then the one below it", set.Limits.Pace(), day + "13:00:00Z", 2e6, day + "18:00:00Z"},
		{"after", set.Limits.Pace(), day + "18:00:00Z", 9e6, "2026-11-24T08:00:00Z"},
		{"over the weekend", set.Limits.Pace(), "2026-11-27T18:00:00Z", 9e6, "2026-11-30T08:00:00Z"},
		{"in its zone", set.Limits.Links[0].Pace(), "2026-11-29T00:30:00Z", 1e3, "2026-11-29T03:00:00Z"},
		{"an hour less where summer time begins", set.Limits.Links[0].Pace(), "2027-03-28T00:30:00Z", 1e3, "2027-03-28T02:00:00Z"},
	} {
		at, err := time.Parse(time.RFC3339, tt.at)
		if err != nil {
			t.Fatal(err)
		}
		bytes, until := tt.pace.At(at)
		to := ""
		if !until.IsZero() {
			to = until.UTC().Format(time.RFC3339)
		}
		if bytes != tt.want || to != tt.to {
			t.Errorf("%s: at %s %v until %q, want %v until %q", tt.name, tt.at, bytes, to, tt.want, tt.to)
		}
	}
}
