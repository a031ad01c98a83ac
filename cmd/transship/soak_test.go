//go:build linux

package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/transship/transship/providers/registrytest"
	"github.com/transship/transship/state/statetest/needs"
)

var soakTime = flag.Duration("soak-time", 30*time.Minute, "how long TestSoak goes on")

// TestSoak runs a daemon while tags move, registries fail in turns, its policy is
// read anew every few seconds, with another rule, with mistakes, and PostgreSQL
// restarts twice. What it takes is as flat in the last third as in the middle one.
//
//	TRANSSHIP_LONG=1 go test ./cmd/transship -run TestSoak -v -timeout 1h -soak-time 3m
func TestSoak(t *testing.T) {
	needs.Long(t)
	f := newFleet(t)
	f.replicas = f.replicas[:1]
	r := f.replicas[0]
	r.env = []string{"TRANSSHIP_SPOOL_SIZE=16MiB"}
	r.start()
	s := &soak{f: f, r: r}
	f.await("it is to listen", settle, s.listens)
	ctx, cancel := context.WithTimeout(t.Context(), *soakTime)
	defer cancel()
	moving := f.rand.Uint64()
	var all sync.WaitGroup
	all.Go(func() { f.moveEvery(ctx, moving, 400*time.Millisecond) })
	all.Go(func() { s.sample(ctx) })
	all.Go(func() { s.fail(ctx, rand.New(rand.NewPCG(moving, 3))) })
	all.Go(func() { s.reload(ctx) })
	pause(ctx, *soakTime/6)
	s.restart()
	pause(ctx, *soakTime*7/12)
	s.restart()
	all.Wait()
	f.finish()
	s.verdict(t)
}

// A soak is one run of it.
type soak struct {
	f      *fleet
	r      *replica
	server string // of the API

	mu      sync.Mutex
	samples []sample
	lost    int // answers that did not come
}

// A sample is what the daemon took at one moment.
type sample map[string]float64

// gauges are what has to stay flat, and how much above a tenth of itself it may
// have grown.
var gauges = []struct {
	name  string
	slack float64
}{
	{"process_resident_memory_bytes", 8 << 20},
	{"go_memstats_heap_inuse_bytes", 4 << 20},
	{"go_goroutines", 10},
	{"process_open_fds", 8},
	{"transship_spool_bytes", 1 << 20},
	{"lines", 20},
}

var listensAt = regexp.MustCompile(`msg=serving listen=(\S+)`)

func (s *soak) listens() error {
	found := listensAt.FindStringSubmatch(s.r.said())
	if found == nil {
		return errors.New("it does not")
	}
	s.server = "http://" + found[1]
	return nil
}

// sample asks for the metrics every two seconds until ctx ends.
func (s *soak) sample(ctx context.Context) {
	for pause(ctx, 2*time.Second); ctx.Err() == nil; pause(ctx, 2*time.Second) {
		got, err := s.measure(ctx)
		s.mu.Lock()
		if err != nil {
			s.lost++
		} else {
			s.samples = append(s.samples, got)
		}
		s.mu.Unlock()
	}
}

func (s *soak) measure(ctx context.Context) (sample, error) {
	ask, err := http.NewRequestWithContext(ctx, http.MethodGet, s.server+"/metrics", nil)
	if err != nil {
		return nil, err
	}
	answer, err := http.DefaultClient.Do(ask)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	return parse(answer.Body)
}

// parse reads the metrics that have no labels, and counts the lines of all.
func parse(r io.Reader) (sample, error) {
	got := sample{}
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "#") {
			continue
		}
		got["lines"]++
		name, value, _ := strings.Cut(lines.Text(), " ")
		if n, err := strconv.ParseFloat(value, 64); err == nil {
			got[name] = n
		}
	}
	return got, lines.Err()
}

// fail has registries fail half of the time, in another way each time.
func (s *soak) fail(ctx context.Context, r *rand.Rand) {
	type F = registrytest.Fault
	reads := []registrytest.Class{registrytest.BlobGet, registrytest.ManifestGet}
	ways := []registrytest.Rule{
		{Rate: 0.2, Fault: registrytest.Throttled("")},
		{Rate: 0.2, Fault: registrytest.Unavailable("")},
		{Rate: 0.3, Classes: reads, Within: 100_000, Fault: F{Break: registrytest.Reset}},
		{Rate: 0.3, Classes: reads, Within: 100_000, Fault: F{Break: registrytest.Truncate}},
		{Rate: 0.2, Classes: reads, Within: 5000, Fault: F{Break: registrytest.Flip}},
		{Rate: 0.2, Classes: reads, Within: 5000, Fault: F{Break: registrytest.Stall, For: 5 * time.Second}},
		{Rate: 0.3, Classes: []registrytest.Class{registrytest.UploadPut}, Within: 50_000, Fault: F{Break: registrytest.ResetUpload}},
		{Rate: 0.3, Classes: []registrytest.Class{registrytest.UploadPut, registrytest.ManifestPut}, Fault: F{Break: registrytest.LoseResponse}},
		{Rate: 1, Fault: F{Status: http.StatusUnauthorized}},
	}
	names := []string{"src", "one", "two"}
	for ctx.Err() == nil {
		server, way := s.f.servers[names[r.IntN(3)]], ways[r.IntN(len(ways))]
		server.Set(func(q *registrytest.Quirks) { q.Faults = []registrytest.Rule{way} })
		pause(ctx, 4*time.Second)
		server.Set(func(q *registrytest.Quirks) { q.Faults = nil })
		server.Release()
		pause(ctx, 4*time.Second)
	}
}

// reload has the policy read anew every three seconds, and changes it in turns.
func (s *soak) reload(ctx context.Context) {
	file := filepath.Join(s.r.dir, "policy.yaml")
	base, err := os.ReadFile(file)
	s.f.must(err)
	more := string(base) + `
  - {name: more, schedule: "@every 1s", from: {registry: src, repositories: {include: ["team/*"]}}, to: [{registry: two}]}
`
	texts := []string{string(base), string(base), more, more, "rules: often", string(base)}
	for n := 0; ctx.Err() == nil; n++ {
		s.put(file, texts[n%len(texts)])
		s.r.signal(syscall.SIGHUP)
		pause(ctx, 3*time.Second)
	}
	s.put(file, string(base))
	s.r.signal(syscall.SIGHUP)
}

// put replaces a file at once.
func (s *soak) put(file, text string) {
	s.f.must(os.WriteFile(file+".new", []byte(text), 0o600))
	s.f.must(os.Rename(file+".new", file))
}

func (s *soak) restart() {
	s.f.cluster.Down(s.f.t)
	pause(s.f.t.Context(), 3*time.Second)
	s.f.cluster.Up(s.f.t)
}

// verdict compares the last third of the samples with the middle one.
func (s *soak) verdict(t *testing.T) {
	t.Helper()
	third := len(s.samples) / 3
	if third < 10 || s.lost > len(s.samples)/10 {
		t.Fatalf("%d samples, and %d did not come", len(s.samples), s.lost)
	}
	last := s.samples[len(s.samples)-1]
	t.Logf("%v: %d samples, %d did not come; processor %.0f s", *soakTime, len(s.samples), s.lost, last["process_cpu_seconds_total"])
	t.Logf("| %-30s | %12s | %12s | %12s | %12s |", "median", "first third", "middle", "last", "most")
	for _, g := range gauges {
		if _, told := last[g.name]; !told {
			t.Errorf("%s is not told", g.name)
		}
		first, middle, end := s.median(g.name, 0, third), s.median(g.name, third, 2*third), s.median(g.name, 2*third, len(s.samples))
		t.Logf("| %-30s | %12.0f | %12.0f | %12.0f | %12.0f |", g.name, first, middle, end, s.most(g.name))
		if end > middle*1.1+g.slack {
			t.Errorf("%s grows: %.0f in the middle, %.0f at the end", g.name, middle, end)
		}
	}
}

func (s *soak) values(name string, from, to int) (list []float64) {
	for _, one := range s.samples[from:to] {
		list = append(list, one[name])
	}
	slices.Sort(list)
	return list
}

func (s *soak) median(name string, from, to int) float64 {
	list := s.values(name, from, to)
	return list[len(list)/2]
}

func (s *soak) most(name string) float64 {
	list := s.values(name, 0, len(s.samples))
	return list[len(list)-1]
}
