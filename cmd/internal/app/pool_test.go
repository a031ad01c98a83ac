package app

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/transship/transship/policy"
	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/limit"
	"github.com/transship/transship/providers/registrytest"
	"github.com/transship/transship/providers/registrytest/content"
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
	p := &pooled{t: t, secret: filepath.Join(t.TempDir(), "secret"), pool: &pool{log: slog.New(slog.DiscardHandler)}}
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
