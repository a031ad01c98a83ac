package app

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/transship/transship/policy"
	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/limit"
	"github.com/transship/transship/providers/registrytest"
	"github.com/transship/transship/providers/registrytest/content"
	"github.com/transship/transship/replicator"
	"github.com/transship/transship/replicator/transfer"
	"github.com/transship/transship/state/sqlite"
)

// A pooled registry is behind a token service, and is named by policies that follow
// one another.
type pooled struct {
	t      *testing.T
	server *registrytest.Server
	secret string // the file with the password
	pool   *pool
}

func newPooled(t *testing.T) *pooled {
	p := &pooled{t: t, secret: filepath.Join(t.TempDir(), "secret"), pool: newPool(slog.New(slog.DiscardHandler))}
	p.server = registrytest.New(t, registrytest.Options{Quirks: registrytest.Quirks{
		Auth: registrytest.Auth{Mode: registrytest.Bearer, Users: map[string]string{"sync": "secret"}}}})
	if err := p.server.Load("app", content.Image("app", nil), "v1"); err != nil {
		t.Fatal(err)
	}
	p.rotate("secret")
	return p
}

func (p *pooled) rotate(password string) {
	p.t.Helper()
	if err := os.WriteFile(p.secret, []byte(password), 0o600); err != nil {
		p.t.Fatal(err)
	}
}

// policy puts one in force in which more is said of the registry.
func (p *pooled) policy(more string) *registries {
	p.t.Helper()
	set, err := policy.Parse("p.yaml", fmt.Appendf(nil, `
registries:
  src: {host: %q, provider: oci, plainHTTP: true, auth: {username: sync, password: "file:%s"}, %s}
  dst: {provider: layout, path: %q}
rules: [{name: r, from: {registry: src}, to: [{registry: dst}]}]
`, p.server.Host(), p.secret, more, p.t.TempDir()))
	if err != nil {
		p.t.Fatal(err)
	}
	return p.pool.of(set)
}

// ask asks for the tag and returns the registry that did.
func (p *pooled) ask(r *registries) (providers.Registry, error) {
	p.t.Helper()
	reg, err := r.get("src")
	if err != nil {
		p.t.Fatal(err)
	}
	_, err = reg.Head(p.t.Context(), "app", "v1")
	return reg, err
}

func (p *pooled) mustAsk(r *registries) providers.Registry {
	p.t.Helper()
	reg, err := p.ask(r)
	if err != nil {
		p.t.Fatal(err)
	}
	return reg
}

func (p *pooled) mustClose(r *registries) {
	p.t.Helper()
	if err := r.close(); err != nil {
		p.t.Fatal(err)
	}
}

// asked are the pings and tokens that the server was asked for.
func (p *pooled) asked() int64 {
	return p.server.Counts().Of(registrytest.Ping, registrytest.Token)
}

// limiter is that of a registry.
func limiter(r providers.Registry) *limit.Limiter {
	return r.(interface{ Limiter() *limit.Limiter }).Limiter()
}

// TestPoolKeeps holds that a registry which is set alike in the next policy asks for
// no token and pings nobody, whether the one before it still runs or not; that its price
// and its limits may change; and that it is closed when nobody has it any more.
func TestPoolKeeps(t *testing.T) {
	p := newPooled(t)
	before := p.policy("")
	first := p.mustAsk(before)
	began := p.asked()
	for _, more := range []string{"", "egressPrice: 0.1", "limits: {requests: 1000/s, bytes: 100MB/s}"} {
		after := p.policy(more)
		p.mustClose(before)
		if reg := p.mustAsk(after); reg != first {
			t.Errorf("{%s}: it was opened anew", more)
		}
		before = after
	}
	late := p.policy("limits: {requests: 500/s}")
	if reg := p.mustAsk(before); reg != first {
		t.Error("the policy before the last one opened it anew")
	}
	p.mustClose(before)
	p.mustClose(late)
	if n := p.asked() - began; n != 0 {
		t.Errorf("%d pings and tokens, want none", n)
	}
	if len(p.pool.open) != 0 {
		t.Errorf("still open: %v", p.pool.open)
	}
	if _, err := late.get("src"); err == nil {
		t.Error("a registry was opened for a policy that is over")
	}
}

// TestPoolOpensAnew holds that settings which change take effect at once, and that the
// registry of before, while somebody still has it, keeps within the limits together
// with it.
func TestPoolOpensAnew(t *testing.T) {
	for _, more := range []string{"limits: {width: 3}", "capabilities: {mount: no}", "another password"} {
		t.Run(more, func(t *testing.T) {
			p := newPooled(t)
			before := p.policy("")
			old := p.mustAsk(before)
			if more == "another password" {
				p.rotate("wrong") // the reference stays, what it leads to does not
				more = ""
			}
			after := p.policy(more)
			reg, err := p.ask(after)
			if reg == old || limiter(reg) != limiter(old) {
				t.Errorf("it was kept: %v; limits apart: %v", reg == old, limiter(reg) != limiter(old))
			}
			if refused := err != nil; refused != (more == "") {
				t.Errorf("asked with what is set now: %v", err)
			}
			if more == "limits: {width: 3}" && limiter(old).Width() != 3 {
				t.Errorf("the registry of before asks %d at once, want 3", limiter(old).Width())
			}
			p.mustClose(before)
			p.mustClose(after)
		})
	}
}

// bounded copies a blob of 40 kB by a policy that bounds bytes, and returns what
// requests and bodies waited for, by host.
func bounded(t *testing.T, limits, ofSource string) (waited map[string]int, src, dst string) {
	t.Helper()
	servers := [2]*registrytest.Server{registrytest.New(t, registrytest.Options{}), registrytest.New(t, registrytest.Options{})}
	if err := servers[0].Load("app", content.Image("app", []content.Blob{content.Layer("l", 40_000)}), "v1"); err != nil {
		t.Fatal(err)
	}
	set, err := policy.Parse("p.yaml", fmt.Appendf(nil, `
limits: %s
registries:
  src: {host: %q, plainHTTP: true, auth: {anonymous: true}, limits: %s}
  dst: {host: %q, plainHTTP: true, auth: {anonymous: true}}
rules: [{name: r, from: {registry: src, repositories: {include: [app]}}, to: [{registry: dst}]}]
`, limits, servers[0].Host(), ofSource, servers[1].Host()))
	if err != nil {
		t.Fatal(err)
	}
	p := newPool(slog.New(slog.DiscardHandler))
	var mu sync.Mutex
	waited = map[string]int{}
	p.waited = func(host, why string, _ time.Duration) {
		mu.Lock()
		defer mu.Unlock()
		waited[host+" "+why]++
	}
	store, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "state.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	regs := p.of(set)
	defer regs.close()
	e, err := replicator.New(replicator.Options{Policy: set, Registries: regs.get, State: store, Transfer: transfer.Options{Link: regs.link, SpoolDir: t.TempDir()}})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	jobs, _, err := e.ExpandRule(t.Context(), set.Rules[0])
	if err != nil || len(jobs) != 1 {
		t.Fatal(jobs, err)
	}
	if r, err := e.Run(t.Context(), jobs[0]); err != nil || len(r.Failures) > 0 {
		t.Fatal(r, err)
	}
	return waited, servers[0].Host(), servers[1].Host()
}

// TestByteRates holds that what the policy says of bytes reaches what they flow through.
func TestByteRates(t *testing.T) {
	const slow = "bytes: 80kB/s"
	const now = `hours: [{windows: ["00:00-12:00", "12:00-24:00"], bytes: 80kB/s}]`
	for _, tt := range []struct {
		name, limits, ofSource string
		bytes, link            bool // what is waited for
	}{
		{"none", "{}", "{}", false, false},
		{"a registry", "{}", "{" + slow + "}", true, false},
		{"a registry, by the hour", "{}", "{" + now + "}", true, false},
		{"in all", "{" + slow + "}", "{}", true, false},
		{"in all, by the hour", "{" + now + "}", "{}", true, false},
		{"a link", "{links: [{from: src, to: dst, " + slow + "}]}", "{}", false, true},
		{"a link, by the hour", "{links: [{from: src, to: dst, " + now + "}]}", "{}", false, true},
		{"another link", "{links: [{from: dst, to: src, " + slow + "}]}", "{}", false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			waited, src, dst := bounded(t, tt.limits, tt.ofSource)
			if bytes, link := waited[src+" bytes"] > 0, waited[dst+" link"] > 0; bytes != tt.bytes || link != tt.link {
				t.Errorf("waited for bytes read %t, for the link %t: %v", bytes, link, waited)
			}
		})
	}
}

// TestLinkChanges holds that a link's rate changes for what is under way: at a window's
// edge, and by a policy that is read again.
func TestLinkChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(slog.New(slog.DiscardHandler))
		start := time.Now().UTC()
		set := func(hours string) *policy.Set {
			set, err := policy.Parse("p.yaml", []byte(`
registries: {a: {host: a.example.com}, b: {host: b.example.com}}
limits: {links: [{from: a, to: b, bytes: 1kB/s, hours: [`+hours+`]}]}
rules: []
`))
			if err != nil {
				t.Fatal(err)
			}
			return set
		}
		before := p.of(set("{windows: [\"CRON_TZ=UTC " + start.Add(time.Minute).Format("15:04") + "-" + start.Add(2*time.Minute).Format("15:04") + "\"], bytes: 10kB/s}"))
		link := before.link("a", "b")
		take := func(n int) time.Duration {
			for range n {
				if err := link.Take(t.Context(), 1000); err != nil {
					t.Fatal(err)
				}
			}
			took := time.Since(start)
			start = time.Now()
			return took
		}
		// A change is seen in a quarter of a second, which is 2.5 s of the lower rate.
		if took := take(60 + 600 + 60); took < 179*time.Second || took > 183*time.Second {
			t.Errorf("a minute, one at ten times the rate, and one more took %v", took)
		}
		time.AfterFunc(30*time.Second, func() { p.of(&policy.Set{}) })
		if took := take(1000); took < 30*time.Second || took > 31*time.Second {
			t.Errorf("half a minute, and the rest without a bound took %v", took)
		}
	})
}

// TestLinkNamesItsHost holds that what waits for a link is told of under the host that
// it leads to, also once a policy is in force that knows no such registry.
func TestLinkNamesItsHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(slog.New(slog.DiscardHandler))
		var waited []string
		p.waited = func(host, why string, _ time.Duration) { waited = append(waited, host+" "+why) }
		set, err := policy.Parse("p.yaml", []byte(`
registries: {a: {host: a.example.com}, b: {host: b.example.com}}
limits: {links: [{from: a, to: b, bytes: 1kB/s}]}
rules: []
`))
		if err != nil {
			t.Fatal(err)
		}
		before := p.of(set)
		p.of(&policy.Set{Limits: set.Limits})
		link := before.link("a", "b")
		for range 3 {
			if err := link.Take(t.Context(), 1000); err != nil {
				t.Fatal(err)
			}
		}
		if len(waited) == 0 || waited[0] != "b.example.com link" {
			t.Errorf("waited for %q, want b.example.com link", waited)
		}
	})
}

// TestLinkWaitsForNoFile holds that a blob under way gets its link while the pool reads
// files, which may be on a disk that does not answer.
func TestLinkWaitsForNoFile(t *testing.T) {
	p := newPool(slog.New(slog.DiscardHandler))
	regs := p.of(&policy.Set{})
	p.mu.Lock() // as whoever reads them does
	defer p.mu.Unlock()
	got := make(chan transfer.Flow)
	go func() { got <- regs.link("a", "b") }()
	select {
	case <-got:
	case <-time.After(10 * time.Second): // then it waits
		t.Error("the link waits for the pool")
	}
}
