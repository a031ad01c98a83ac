package replicator_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/transship/transship/policy"
	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/oci"
	"github.com/transship/transship/providers/registrytest"
	"github.com/transship/transship/providers/registrytest/content"
	"github.com/transship/transship/replicator"
	"github.com/transship/transship/state"
	"github.com/transship/transship/state/sqlite"
)

// A world is a source, some targets, and a folder in which processes follow one
// another: state and spool outlive them, the registries outlive it all.
type world struct {
	t       testing.TB
	rules   string
	targets []string // names, in the order of the rule
	servers map[string]*registrytest.Server
	secrets map[string]string // a password for each server
	dir     string            // of the process at work
	skew    time.Duration     // how far its clock is ahead
	lives   int               // processes so far

	client func(name string, o *oci.Options) // changes clients, may be nil
	tune   func(o *replicator.Options)       // changes engines, may be nil
	logs   *logs

	takenAway taken // by others, at targets

	// hook sees every request of every server before it is served, may be nil. It
	// may change at any time, and is called from many goroutines.
	hook hookSlot
}

const everything = `
rules:
  - name: all
    from: {registry: src}
    to: [%s]
`

// newWorld starts a source "src" and the targets, empty.
func newWorld(t testing.TB, targets ...string) *world {
	t.Helper()
	w := &world{t: t, targets: targets, servers: map[string]*registrytest.Server{}, secrets: map[string]string{},
		dir: t.TempDir(), logs: &logs{}}
	var to []string
	for _, name := range targets {
		to = append(to, "{registry: "+name+"}")
	}
	w.rules = fmt.Sprintf(everything, strings.Join(to, ", "))
	for _, name := range append([]string{"src"}, targets...) {
		w.servers[name] = registrytest.New(t, registrytest.Options{})
		w.secrets[name] = "password-of-" + name
		w.servers[name].Before(func(r *http.Request, class registrytest.Class) *registrytest.Fault {
			w.credentials(name, r)
			if hook := w.hook.get(); hook != nil {
				return hook(name, r, class)
			}
			return nil
		})
	}
	return w
}

// credentials fails the test if a request shows a credential where it does not
// belong (I7): another registry's anywhere, and any at all at a storage host.
func (w *world) credentials(name string, r *http.Request) {
	authorization := r.Header.Get("Authorization")
	if authorization != "" && r.Host == w.servers[name].StorageHost() {
		w.t.Errorf("I7: the storage host of %s was sent a credential: %s %s", name, r.Method, r.URL.Path)
	}
	user, password, basic := r.BasicAuth()
	if basic && (user != name || password != w.secrets[name]) {
		w.t.Errorf("I7: %s was sent the credential of %s", name, user)
	}
	for other, secret := range w.secrets {
		if strings.Contains(authorization+r.URL.String(), secret) {
			w.t.Errorf("I7: %s was sent the password of %s in the clear: %s", name, other, r.Method)
		}
	}
}

// secretive fails the test if a password is in the logs or in text (I7).
func (w *world) secretive(text ...string) {
	w.t.Helper()
	for _, s := range append(text, w.logs.String()) {
		for name, secret := range w.secrets {
			if strings.Contains(s, secret) {
				w.t.Errorf("I7: the password of %s is in what is told", name)
			}
		}
	}
}

func (w *world) src() *registrytest.Server { return w.servers["src"] }

// set changes the quirks of one server.
func (w *world) set(name string, change func(*registrytest.Quirks)) { w.servers[name].Set(change) }

// load puts a manifest into the source.
func (w *world) load(repo string, m *content.Manifest, tags ...string) {
	w.t.Helper()
	if err := w.src().Load(repo, m, tags...); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) policy() *policy.Set {
	w.t.Helper()
	var text strings.Builder
	text.WriteString("registries:\n")
	for name, s := range w.servers {
		fmt.Fprintf(&text, "  %s: {host: %q, plainHTTP: true, provider: oci}\n", name, s.Host())
	}
	set, err := policy.Parse("test.yaml", []byte(text.String()+w.rules))
	if err != nil {
		w.t.Fatal(err)
	}
	return set
}

// A process is one life of an engine over the world's folder.
type process struct {
	*replicator.Engine
	w       *world
	agent   string // as its requests call it
	set     *policy.Set
	store   state.Store
	clients map[string]*oci.Registry
	stop    chan struct{} // the soft stop
	soft    sync.Once
	ended   bool
}

// start begins a process with the state and the spool that are there.
func (w *world) start() *process {
	w.t.Helper()
	set := w.policy()
	w.lives++
	p := &process{w: w, agent: fmt.Sprintf("process-%d", w.lives), set: set, clients: map[string]*oci.Registry{}, stop: make(chan struct{})}
	path := filepath.Join(w.dir, "state.db")
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		w.must(os.WriteFile(path, freshState(), 0o600))
	}
	store, err := sqlite.Open(context.Background(), path, sqlite.Options{})
	w.must(err)
	p.store = store
	for name := range w.servers {
		p.clients[name] = w.newClient(name, p.agent)
	}
	o := replicator.Options{Policy: set, State: store, Registries: p.registry, Logger: w.logs.logger(),
		Now: func() time.Time { return time.Now().Add(w.skew) }}
	o.Transfer.SpoolDir, o.Transfer.SpoolBytes, o.Transfer.Stop = filepath.Join(w.dir, "spool"), 1<<30, p.stop
	o.Transfer.Grace = 2 * time.Second
	if w.tune != nil {
		w.tune(&o)
	}
	p.Engine, err = replicator.New(o)
	w.must(err)
	w.t.Cleanup(p.end)
	return p
}

func (w *world) newClient(name, agent string) *oci.Registry {
	w.t.Helper()
	o := oci.Options{Host: w.servers[name].Host(), PlainHTTP: true, Push: name != "src", UserAgent: agent,
		Retry:  oci.Retry{Tries: 8, Min: time.Millisecond, Max: 10 * time.Millisecond},
		Logger: w.logs.logger()}
	if w.servers[name].Quirks().Mode != registrytest.Open {
		o.Authenticator = authn.FromConfig(authn.AuthConfig{Username: name, Password: w.secrets[name]})
		o.TokenRealm = w.servers[name].TokenURL()
	}
	if w.client != nil {
		w.client(name, &o)
	}
	c, err := oci.New(o)
	w.must(err)
	return c
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (p *process) registry(name string) (providers.Registry, error) {
	if c := p.clients[name]; c != nil {
		return c, nil
	}
	return nil, fmt.Errorf("no registry %q", name)
}

// halt is the soft stop.
func (p *process) halt() { p.soft.Do(func() { close(p.stop) }) }

// end closes what the process holds. State and spool stay.
func (p *process) end() {
	if p.ended {
		return
	}
	p.ended = true
	err := p.Close()
	for _, c := range p.clients {
		err = errors.Join(err, c.Close())
	}
	if err = errors.Join(err, p.store.Close()); err != nil {
		p.w.t.Errorf("end of a process: %v", err)
	}
}

// pass expands all rules and runs their jobs, as sync does.
func (p *process) pass(ctx context.Context) ([]replicator.Report, []replicator.Problem, error) {
	jobs, problems, err := p.Expand(ctx, p.set.Rules, nil)
	if err != nil {
		return nil, problems, err
	}
	reports, err := p.RunAll(ctx, "test", jobs, nil)
	return reports, problems, err
}

// fine is a pass in which everything has to go well; it returns what each server
// was asked meanwhile.
func (p *process) fine() map[string]registrytest.Counts {
	p.w.t.Helper()
	before := p.w.counts()
	reports, problems, err := p.pass(context.Background())
	if err != nil || len(problems) > 0 {
		p.w.t.Errorf("pass: %v, problems %v", err, problems)
	}
	for _, r := range reports {
		if !r.OK() {
			p.w.t.Errorf("%s: err %v, interrupted %v, failures %+v", r.Key, r.Err, r.Interrupted, r.Failures)
		}
	}
	return p.w.since(before)
}

func (w *world) counts() map[string]registrytest.Counts {
	all := map[string]registrytest.Counts{}
	for name, s := range w.servers {
		all[name] = s.Counts()
	}
	return all
}

func (w *world) since(before map[string]registrytest.Counts) map[string]registrytest.Counts {
	all := w.counts()
	for name, c := range all {
		all[name] = c.Sub(before[name])
	}
	return all
}

// withSpool gives processes a spool of so many bytes.
func withSpool(room int64) func(*replicator.Options) {
	return func(o *replicator.Options) { o.Transfer.SpoolBytes = room }
}

// freshState is an empty state file: it is made once, as migrations take time.
var freshState = sync.OnceValue(func() []byte {
	dir, err := os.MkdirTemp("", "transship-test-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "state.db")
	store, err := sqlite.Open(context.Background(), path, sqlite.Options{})
	if err != nil {
		panic(err)
	}
	if err := store.Close(); err != nil {
		panic(err)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		panic(err)
	}
	return raw
})

// leftBehind waits for goroutines of our packages to end, and returns the stacks
// of those that do not.
func leftBehind() string {
	var left string
	for range 100 {
		left = ""
		buf := make([]byte, 4<<20)
		for stack := range strings.SplitSeq(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
			ours := strings.Contains(stack, "/transship/replicator.") || strings.Contains(stack, "/transship/replicator/") ||
				strings.Contains(stack, "/transship/providers/oci") || strings.Contains(stack, "/transship/state/")
			if ours && !strings.Contains(stack, "replicator_test.leftBehind") && !strings.Contains(stack, "testing.(*T).Run") {
				left += stack + "\n\n"
			}
		}
		if left == "" {
			return ""
		}
		time.Sleep(50 * time.Millisecond) // nothing tells when a goroutine is gone
	}
	return left
}

type hookFunc func(name string, r *http.Request, class registrytest.Class) *registrytest.Fault

// A hookSlot holds a hook that may change while servers ask for it.
type hookSlot struct{ at atomic.Pointer[hookFunc] }

func (h *hookSlot) set(f hookFunc) { h.at.Store(&f) }

func (h *hookSlot) get() hookFunc {
	if f := h.at.Load(); f != nil {
		return *f
	}
	return nil
}
