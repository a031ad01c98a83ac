//go:build linux

package main

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// An observer sees all requests of all replicas, each through a proxy of its own. It
// knows of repositories of targets who has requests open there.
type observer struct {
	f    *fleet
	mu   sync.Mutex
	open map[string]map[*flight]bool   // by target repository, "one/team/a"
	read map[*replica]map[string]int64 // bytes of blobs that a replica's life has read, by digest
	lost int64
	seen int
	gone *replica // frozen: what still comes from it was sent before
	both []string // what two replicas did at once
}

// A flight is a request that is being answered.
type flight struct {
	by      *replica
	life    int
	what    string
	excused bool
}

func newObserver(f *fleet) *observer {
	return &observer{f: f, open: map[string]map[*flight]bool{}, read: map[*replica]map[string]int64{}}
}

// place is what a request is about: a repository of a target, or a blob of the source.
func (o *observer) place(r *http.Request) (target, blob string) {
	repo, rest, ok := strings.Cut(strings.TrimPrefix(r.URL.Path, "/v2/"), "/blobs/")
	for _, word := range []string{"/manifests/", "/tags/", "/referrers/"} {
		if !ok {
			repo, _, ok = strings.Cut(strings.TrimPrefix(r.URL.Path, "/v2/"), word)
		}
	}
	for name, s := range o.f.servers {
		switch {
		case !ok || r.URL.Host != s.Host():
		case name != "src":
			return name + "/" + repo, ""
		case strings.HasPrefix(rest, "sha256:"):
			return "", rest
		}
	}
	return "", ""
}

// begin notes a request, and who else works there. A request that only asks for a
// blob may be about another repository's job, which wants to mount it.
func (o *observer) begin(by *replica, r *http.Request) (end func()) {
	target, _ := o.place(r)
	if target == "" || strings.Contains(r.URL.Path, "/blobs/sha256:") {
		return func() {}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	x := &flight{by: by, life: by.lives, what: r.Method + " " + r.URL.Path, excused: by == o.gone}
	if o.open[target] == nil {
		o.open[target] = map[*flight]bool{}
	}
	for other := range o.open[target] {
		if other.by != by && !other.excused {
			o.both = append(o.both, fmt.Sprintf("%s: %s by replica %d (life %d), and %s by replica %d (life %d)",
				target, other.what, other.by.n, other.life, x.what, x.by.n, x.life))
		}
	}
	o.open[target][x] = true
	o.seen++
	return func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		delete(o.open[target], x)
	}
}

// worker is who has a request open at a repository of a target; nil if nobody has.
func (o *observer) worker(target string) *replica {
	o.mu.Lock()
	defer o.mu.Unlock()
	for x := range o.open[target] {
		if !x.excused {
			return x.by
		}
	}
	return nil
}

// idle tells who has a request open at a target.
func (o *observer) idle() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	for target, at := range o.open {
		for x := range at {
			return fmt.Errorf("%s: %s by replica %d", target, x.what, x.by.n)
		}
	}
	return nil
}

// freezing is told before a replica is frozen, and told nil before it wakes.
func (o *observer) freezing(r *replica) {
	o.mu.Lock()
	o.gone = r
	o.mu.Unlock()
	o.excuseOf(func(x *flight) bool { return x.by == r })
}

// excuseOf lets what is open now stay open beside what others begin: those who asked
// can do nothing about it any more.
func (o *observer) excuseOf(which func(*flight) bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, at := range o.open {
		for x := range at {
			x.excused = x.excused || which(x)
		}
	}
}

// killing is told before a replica is killed, and adds up what it has read that no
// target has.
func (o *observer) killing(r *replica) {
	o.excuseOf(func(x *flight) bool { return x.by == r })
	o.mu.Lock()
	defer o.mu.Unlock()
	for digest, n := range o.read[r] {
		if !o.arrived(digest) {
			o.lost += n
		}
	}
	delete(o.read, r)
}

func (o *observer) arrived(digest string) bool {
	for _, name := range []string{"one", "two"} {
		for _, repo := range o.f.servers[name].Repositories() {
			if o.f.servers[name].Has(repo, hashOf(digest)) {
				return true
			}
		}
	}
	return false
}

// flown is what was in flight at all kills, in bytes.
func (o *observer) flown() int64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.lost
}

// verdict fails the test if two replicas worked at one target repository at once.
func (o *observer) verdict() {
	o.f.t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	o.f.t.Logf("%d requests at repositories of targets", o.seen)
	if len(o.both) > 0 {
		o.f.t.Errorf("%d times two replicas worked at once, such as\n%s", len(o.both), strings.Join(o.both[:min(len(o.both), 10)], "\n"))
	}
}

// proxy starts the proxy of a replica and returns its URL.
func (o *observer) proxy(by *replica) string {
	transport := &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true}
	forward := &httputil.ReverseProxy{
		Rewrite:       func(*httputil.ProxyRequest) {},
		Transport:     transport,
		FlushInterval: -1,
		ErrorLog:      log.New(io.Discard, "", 0), // killed clients
		ModifyResponse: func(r *http.Response) error {
			if _, blob := o.place(r.Request); blob != "" && r.Request.Method == http.MethodGet {
				r.Body = &counted{r.Body, o, by, blob}
			}
			return nil
		},
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer o.begin(by, r)()
		forward.ServeHTTP(w, r)
	}))
	o.f.t.Cleanup(func() { s.CloseClientConnections(); s.Close(); transport.CloseIdleConnections() })
	return s.URL
}

// counted is a body of the source's.
type counted struct {
	io.ReadCloser
	o    *observer
	by   *replica
	blob string
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.o.mu.Lock()
	defer c.o.mu.Unlock()
	if c.o.read[c.by] == nil {
		c.o.read[c.by] = map[string]int64{}
	}
	c.o.read[c.by][c.blob] += int64(n)
	return n, err
}

// A replica is one place in a fleet: a folder, a proxy, and one process after another.
type replica struct {
	f     *fleet
	n     int
	dir   string
	env   []string // beside what each has
	lives int
	cmd   *exec.Cmd // nil if none runs
}

func newReplica(f *fleet, n int) *replica {
	r := &replica{f: f, n: n, dir: f.t.TempDir()}
	proxy := f.watch.proxy(r)
	var text strings.Builder
	text.WriteString("registries:\n")
	for name, s := range f.servers {
		fmt.Fprintf(&text, "  %s: {host: %q, plainHTTP: true, provider: oci, proxy: %q}\n", name, s.Host(), proxy)
	}
	f.must(os.WriteFile(filepath.Join(r.dir, "policy.yaml"), []byte(text.String()+replicasRules), 0o600))
	f.t.Cleanup(func() {
		if r.cmd != nil {
			r.kill()
		}
	})
	return r
}

// start starts the program: this binary is it, too (see TestMain).
func (r *replica) start() {
	r.f.t.Helper()
	self, err := os.Executable()
	r.f.must(err)
	said, err := os.OpenFile(filepath.Join(r.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	r.f.must(err)
	defer said.Close()
	cmd := &exec.Cmd{
		Path: self,
		Args: []string{"transship", "serve", "-c", filepath.Join(r.dir, "policy.yaml"), "--state", r.f.state,
			"--spool-dir", filepath.Join(r.dir, "spool"), "--listen", "127.0.0.1:0", "--workers", "3", "--grace", "20s"},
		Env:         append([]string{"HOME=" + r.dir, "PATH=" + os.Getenv("PATH")}, r.env...),
		Stdout:      said,
		Stderr:      said,
		SysProcAttr: &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL},
	}
	r.f.must(cmd.Start())
	r.f.watch.mu.Lock()
	r.lives++
	r.f.watch.mu.Unlock()
	r.cmd = cmd
}

// kill ends it by SIGKILL.
func (r *replica) kill() {
	r.f.watch.killing(r)
	_ = r.cmd.Process.Kill()
	_ = r.cmd.Wait()
	r.f.watch.excuseOf(func(x *flight) bool { return x.by == r })
	r.cmd = nil
}

// stop ends it as an orchestrator does.
func (r *replica) stop() {
	r.f.t.Helper()
	r.signal(syscall.SIGTERM)
	if err := r.cmd.Wait(); err != nil {
		r.f.t.Errorf("replica %d: %v\n%s", r.n, err, r.said())
	}
	r.cmd = nil
}

// serves reports whether its process has come up, whoever was killed before it.
func (r *replica) serves() bool { return strings.Count(r.said(), "msg=serving ") == r.lives }

func (r *replica) signal(s os.Signal) { r.f.must(r.cmd.Process.Signal(s)) }

func (r *replica) said() string {
	text, err := os.ReadFile(filepath.Join(r.dir, "log"))
	r.f.must(err)
	return string(text)
}

func hashOf(digest string) v1.Hash {
	h, _ := v1.NewHash(digest) // a test fails elsewhere if it is none
	return h
}
