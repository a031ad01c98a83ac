package replicator

import (
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/transship/transship/policy"
	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/acr"
	"github.com/transship/transship/providers/acr/acrtest"
	"github.com/transship/transship/providers/ecr"
	"github.com/transship/transship/providers/ecr/ecrtest"
	"github.com/transship/transship/providers/oci"
	"github.com/transship/transship/providers/registrytest"
	"github.com/transship/transship/providers/registrytest/content"
)

// A chain is an ECR "us", another "eu" in a second region, and an ACR "azure", of
// which the first costs most to read. Each process of it begins with an empty spool.
type chain struct {
	*rig
	text   string // of the registries
	path   string // of the state
	unique int64  // bytes of blobs at us, each once
}

const (
	near       = "  - {name: near, from: {registry: us}, to: [{registry: eu, repository: 'mirror/{{.Repository}}'}]}\n"
	onward     = "  - {name: onward, from: {registry: eu}, to: [{registry: azure, repository: 'dr/{{.Repository | trimPrefix \"mirror/\"}}'}]}\n"
	twoTargets = "  - {name: all, from: {registry: us}, to: [{registry: eu, repository: 'mirror/{{.Repository}}'}, " +
		"{registry: azure, repository: 'dr/{{.Repository}}', readFrom: [eu]}]}\n"
)

func newChain(t *testing.T) *chain {
	t.Helper()
	iam := ecrtest.NewIAM()
	k := iam.User("sync")
	for name, value := range map[string]string{"AWS_ACCESS_KEY_ID": k.ID, "AWS_SECRET_ACCESS_KEY": k.Secret, "AWS_SESSION_TOKEN": "",
		"AWS_PROFILE": "", "AWS_CONFIG_FILE": "/none", "AWS_SHARED_CREDENTIALS_FILE": "/none"} {
		t.Setenv(name, value)
	}
	c := &chain{path: filepath.Join(t.TempDir(), "state.db"), rig: &rig{t: t, now: time.Now(),
		servers: map[string]*registrytest.Server{}, clients: map[string]providers.Registry{}}}
	c.ecr("us", "us-east-1", "0.09", iam)
	c.ecr("eu", "eu-west-1", "0.02", iam)
	c.acr("azure")
	corpus := content.Baseline(7, 0.001)[:12]
	for _, e := range corpus {
		if err := c.servers["us"].Load(e.Repo, e.Manifest, e.Tags...); err != nil {
			t.Fatal(err)
		}
	}
	c.unique = corpus.Shape().UniqueBytes
	return c
}

func (c *chain) add(name, price string, s *registrytest.Server, reg providers.Registry, err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { reg.Close() })
	c.servers[name], c.clients[name] = s, reg
	c.text += fmt.Sprintf("  %s: {host: %q, plainHTTP: true, provider: oci, egressPrice: %s}\n", name, s.Host(), price)
}

func (c *chain) ecr(name, region, price string, iam *ecrtest.IAM) {
	s := ecrtest.New(c.t, ecrtest.Options{IAM: iam, Region: region})
	reg, err := ecr.New(ecr.Options{Identity: ecr.Identity{Region: region}, Endpoints: ecr.Endpoints{ECR: s.Endpoint(), STS: s.Endpoint()},
		OCI: oci.Options{Host: s.Host(), PlainHTTP: true, Push: name != "us", Retry: oci.Retry{Tries: 2, Min: time.Millisecond, Max: time.Millisecond}}})
	c.add(name, price, s.Server, reg, err)
}

func (c *chain) acr(name string) {
	entra := acrtest.StartEntra()
	c.t.Cleanup(entra.Close)
	app := entra.App("sync")
	s := acrtest.New(c.t, acrtest.Options{Entra: entra, Quirks: func(q *acrtest.Quirks) { q.Reads, q.Writes = 0, 0 }})
	s.Assign(app.ClientID, acrtest.AcrPush)
	reg, err := acr.New(acr.Options{Endpoints: acr.Endpoints{Authority: entra.URL()},
		Identity: acr.Identity{TenantID: app.Tenant, ClientID: app.ClientID, ClientSecret: func() (string, error) { return app.Secret, nil }},
		OCI: oci.Options{Host: s.Host(), PlainHTTP: true, Push: true, TLS: oci.TLS{CAPEM: entra.CA()},
			Quotas: map[string]providers.Rate{"ReadOps": {N: 1e6, Per: time.Second}, "WriteOps": {N: 1e6, Per: time.Second}}}})
	c.add(name, "0.087", s.Server, reg, err)
}

// run is a process that knows the state and makes one pass of rules. It returns the
// bytes of blobs that each registry gave.
func (c *chain) run(rules string) map[string]int64 {
	c.t.Helper()
	if c.Engine != nil {
		if err := errors.Join(c.Engine.Close(), c.state.Close()); err != nil {
			c.t.Fatal(err)
		}
	}
	set, err := policy.Parse("test.yaml", []byte("registries:\n"+c.text+"rules:\n"+rules))
	if err != nil {
		c.t.Fatal(err)
	}
	c.set = set
	c.openState(c.path)
	reports, counts := c.pass()
	c.fine(reports)
	out := map[string]int64{}
	for name, n := range counts {
		out[name] = n.BytesOut
	}
	return out
}

// whole wants the registries to hold what us holds.
func (c *chain) whole(names ...string) {
	c.t.Helper()
	for _, name := range names {
		prefix := map[string]string{"eu": "mirror/", "azure": "dr/"}[name]
		if err := registrytest.Equal(c.servers["us"], c.servers[name], func(repo string) string { return prefix + repo }); err != nil {
			c.t.Errorf("%s: %v", name, err)
		}
		if err := c.servers[name].VerifyAll(); err != nil {
			c.t.Errorf("%s: %v", name, err)
		}
	}
}

func (c *chain) gave(out map[string]int64, us, eu int64) {
	c.t.Helper()
	if out["us"] != us || out["eu"] != eu || out["azure"] != 0 {
		c.t.Errorf("us gave %d bytes, want %d; eu %d, want %d; azure %d", out["us"], us, out["eu"], eu, out["azure"])
	}
}

// TestChainOfTwoRules: us to eu, and eu to azure, costs the bytes of us once.
func TestChainOfTwoRules(t *testing.T) {
	c := newChain(t)
	c.gave(c.run(near), c.unique, 0)
	c.gave(c.run(near+onward), 0, c.unique)
	c.whole("eu", "azure")
	c.gave(c.run(near+onward), 0, 0)
}

// TestChainOfOneRule: one rule with two targets costs the bytes of us once: both are
// served by one read, and what eu holds already is read there for azure.
func TestChainOfOneRule(t *testing.T) {
	t.Run("at once", func(t *testing.T) {
		c := newChain(t)
		c.gave(c.run(twoTargets), c.unique, 0)
		c.whole("eu", "azure")
	})
	t.Run("one after the other", func(t *testing.T) {
		c := newChain(t)
		c.gave(c.run(near), c.unique, 0)
		c.gave(c.run(twoTargets), 0, c.unique)
		c.whole("eu", "azure")
		c.gave(c.run(twoTargets), 0, 0)
	})
	// By the lists of eu alone: nobody remembers what is there.
	t.Run("state is lost between", func(t *testing.T) {
		c := newChain(t)
		c.gave(c.run(near), c.unique, 0)
		c.path = filepath.Join(t.TempDir(), "new.db")
		c.gave(c.run(twoTargets), 0, c.unique)
		c.whole("eu", "azure")
	})
	// Reading takes no more than pull.
	t.Run("nothing may be pushed to the reader", func(t *testing.T) {
		c := newChain(t)
		c.run(near)
		c.servers["eu"].Set(func(q *registrytest.Quirks) { q.ReadOnly = true })
		c.gave(c.run(twoTargets), 0, c.unique)
		c.whole("azure")
	})
	// Without readFrom, what eu charges decides.
	t.Run("cheaper", func(t *testing.T) {
		c := newChain(t)
		c.run(near)
		const far = "  - {name: far, from: {registry: us}, to: [{registry: azure, repository: 'dr/{{.Repository}}'}]}\n"
		c.gave(c.run(near+far), 0, c.unique)
		c.whole("eu", "azure")
	})
}

// TestChainReaderIsGone: what eu was believed to hold and does not give comes from
// us, in the same pass.
func TestChainReaderIsGone(t *testing.T) {
	for name, harm := range map[string]func(c *chain){
		"emptied": func(c *chain) {
			for _, repo := range c.servers["eu"].Repositories() {
				if err := c.servers["eu"].RemoveRepository(repo); err != nil {
					c.t.Fatal(err)
				}
			}
		},
		"not to be opened": func(c *chain) { delete(c.clients, "eu") },
		"down": func(c *chain) {
			c.servers["eu"].Before(func(_ *http.Request, class registrytest.Class) *registrytest.Fault {
				if class == registrytest.BlobGet {
					f := registrytest.Unavailable("")
					return &f
				}
				return nil
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := newChain(t)
			c.run(near)
			harm(c)
			const far = "  - {name: far, from: {registry: us}, to: [{registry: azure, repository: 'dr/{{.Repository}}', readFrom: [eu]}]}\n"
			reports := c.run(far + "  - {name: near, paused: true, from: {registry: us}, to: [{registry: eu, repository: 'mirror/{{.Repository}}'}]}\n")
			c.gave(reports, c.unique, 0)
			c.whole("azure")
		})
	}
}
