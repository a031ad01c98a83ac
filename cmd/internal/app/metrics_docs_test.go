package app

import (
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/transship/transship/policy"
	"github.com/transship/transship/replicator/transfer"
)

// told returns the names of what a daemon may tell Prometheus.
func told(t *testing.T) []string {
	t.Helper()
	p := &program{opts: defaults(), log: slog.New(slog.DiscardHandler), stop: &stopper{}}
	store, err := openStore(t.Context(), filepath.Join(t.TempDir(), "state.db"), p.log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	spool, err := transfer.OpenSpool(transfer.Options{SpoolDir: t.TempDir(), SpoolBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { spool.Close() })
	d, err := p.newDaemon(&policy.Set{}, store, spool, serveOptions{workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.gens.close)
	names := d.metrics.Names()
	if !slices.Contains(names, "transship_lag_seconds") || !slices.Contains(names, "transship_spool_bytes") {
		t.Fatalf("the daemon tells %v", names)
	}
	return names
}

func read(t *testing.T, name string) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("../../../docs", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

var metricName = regexp.MustCompile(`\b(transship|process|go)_[a-z0-9_]+`)

// unknown returns the metrics that a text names and nobody tells.
func unknown(names []string, text string) (missing []string) {
	for _, name := range metricName.FindAllString(text, -1) {
		base := name
		for _, suffix := range []string{"_bucket", "_sum", "_count"} {
			base = strings.TrimSuffix(base, suffix)
		}
		if !slices.Contains(names, name) && !slices.Contains(names, base) {
			missing = append(missing, name)
		}
	}
	return missing
}

// TestMetricsAreExplained holds that docs/metrics.md explains each metric in its table
// and names none that is not there, and that each alert has what to do.
func TestMetricsAreExplained(t *testing.T) {
	names, page := told(t), read(t, "metrics.md")
	table, alerts, cut := strings.Cut(page, "\n## Alerts\n")
	if !cut {
		t.Fatal("docs/metrics.md has no section Alerts")
	}
	for _, name := range names {
		if strings.HasPrefix(name, "transship_") && !strings.Contains(table, "`"+name+"`") {
			t.Errorf("docs/metrics.md does not explain %s", name)
		}
	}
	if missing := unknown(names, page); len(missing) > 0 {
		t.Errorf("docs/metrics.md names what nobody tells: %v", missing)
	}
	rules := regexp.MustCompile(`- alert: (\w+)`).FindAllStringSubmatch(alerts, -1)
	if len(rules) < 5 {
		t.Fatalf("docs/metrics.md has %d alerts", len(rules))
	}
	for _, rule := range rules {
		if !strings.Contains(alerts, "\n| "+rule[1]+" | ") {
			t.Errorf("docs/metrics.md does not say what to do about %s", rule[1])
		}
	}
}

// A dashboard is what of Grafana's is looked at here.
type dashboard struct {
	UID, Title string
	Panels     []struct {
		ID          int
		Type, Title string
		GridPos     struct{ X, Y, W, H int }
		Targets     []struct{ Expr string }
	}
	Templating struct {
		List []struct {
			Name  string
			Query any
		}
	}
}

// TestDashboard holds that docs/grafana/transship.json shows metrics that are there,
// in panels that do not lie upon one another.
func TestDashboard(t *testing.T) {
	names := told(t)
	text := read(t, "grafana/transship.json")
	var d dashboard
	if err := json.Unmarshal([]byte(text), &d); err != nil {
		t.Fatal(err)
	}
	if d.UID == "" || len(d.Panels) < 10 {
		t.Errorf("uid %q, %d panels", d.UID, len(d.Panels))
	}
	if missing := unknown(names, text); len(missing) > 0 {
		t.Errorf("it asks for what nobody tells: %v", missing)
	}
	for _, name := range names {
		if strings.HasPrefix(name, "transship_") && !strings.Contains(text, name) {
			t.Errorf("no panel shows %s", name)
		}
	}
	ids, taken, known := map[int]bool{}, map[[2]int]string{}, map[string]bool{"__rate_interval": true, "__all": true}
	for _, v := range d.Templating.List {
		known[v.Name] = true
	}
	for _, v := range regexp.MustCompile(`\$\{?(\w+)`).FindAllStringSubmatch(text, -1) {
		if !known[v[1]] {
			t.Errorf("no variable is called %s", v[1])
		}
	}
	for _, p := range d.Panels {
		if ids[p.ID] || p.ID == 0 {
			t.Errorf("panel %q: number %d is taken", p.Title, p.ID)
		}
		ids[p.ID] = true
		if p.Type != "row" && (len(p.Targets) == 0 || metricName.FindString(p.Targets[0].Expr) == "") {
			t.Errorf("panel %q asks for nothing", p.Title)
		}
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other, is := taken[[2]int{x, y}]; is || x >= 24 {
					t.Fatalf("panel %q lies upon %q, or beside the page", p.Title, other)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
	}
}
