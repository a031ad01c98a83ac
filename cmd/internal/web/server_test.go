package web

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/transship/transship/replicator"
	"github.com/transship/transship/state"
	"github.com/transship/transship/state/sqlite"
)

const token = "0123456789abcdef"

// A desk is a daemon that notes what it is asked for.
type desk struct {
	asked []string
	fail  error
	well  bool
}

func (d *desk) note(format string, args ...any) error {
	d.asked = append(d.asked, fmt.Sprintf(format, args...))
	return d.fail
}

func (d *desk) Rules(context.Context) ([]Rule, error) { return []Rule{{Name: "apps"}}, d.fail }
func (d *desk) Lags(context.Context) ([]replicator.Lag, error) {
	return []replicator.Lag{{Rule: "apps", Target: "t", State: replicator.Behind, Behind: time.Minute}, {Rule: "base", State: replicator.InStep}}, d.fail
}
func (d *desk) Run(_ context.Context, rule string) error { return d.note("run %s", rule) }
func (d *desk) Pause(_ context.Context, rule string, paused bool) error {
	return d.note("pause %s %v", rule, paused)
}
func (d *desk) Cancel(_ context.Context, key string) (bool, error) {
	return key == "run/a/b", d.note("cancel %s", key)
}
func (d *desk) Reload(context.Context) error { return d.note("reload") }
func (d *desk) Ready(context.Context) []Check {
	return []Check{{Name: "state", OK: d.well, Detail: "detail"}, {Name: "policy", OK: true}}
}

// start serves on loopback, over a state with one pass and one row.
func start(t *testing.T, d *desk, change ...func(*Options)) (url string) {
	t.Helper()
	store, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "state.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.BeginPass(t.Context(), state.Pass{Rule: "apps", Started: time.Unix(1, 0)}); err != nil {
		t.Fatal(err)
	}
	if err := store.Ask(t.Context(), state.Ask{Key: "run/a/b", Cause: "api"}); err != nil {
		t.Fatal(err)
	}
	o := Options{State: store, Daemon: d, Token: token}
	for _, f := range change {
		f(&o)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- New(o).Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the server ended with %v", err)
		}
		store.Close()
	})
	return "http://" + l.Addr().String()
}

// TestClient goes through everything that a client can ask.
func TestClient(t *testing.T) {
	d := &desk{well: true}
	c := &Client{Server: start(t, d) + "/", Token: token}
	ctx := t.Context()
	s, err := c.Status(ctx, "apps", 5)
	if err != nil || len(s.Lags) != 1 || s.Lags[0].Behind != time.Minute || len(s.Passes) != 1 || s.Items == nil {
		t.Errorf("status %+v, %v", s, err)
	}
	if rules, err := c.Rules(ctx); err != nil || len(rules) != 1 || rules[0].Name != "apps" {
		t.Errorf("rules %v, %v", rules, err)
	}
	if rows, err := c.Queue(ctx); err != nil || len(rows) != 1 || rows[0].Key != "run/a/b" {
		t.Errorf("queue %v, %v", rows, err)
	}
	for _, err := range []error{c.Run(ctx, "a b/c"), c.Pause(ctx, "apps", true), c.Pause(ctx, "apps", false), c.Cancel(ctx, "run/a/b"), c.Reload(ctx)} {
		if err != nil {
			t.Error(err)
		}
	}
	want := []string{"run a b/c", "pause apps true", "pause apps false", "cancel run/a/b", "reload"}
	if !slices.Equal(d.asked, want) {
		t.Errorf("asked %q, want %q", d.asked, want)
	}
	if err := c.Cancel(ctx, "run/x"); !refusedWith(err, http.StatusNotFound, "nothing in the queue is called run/x") {
		t.Errorf("cancel of nothing: %v", err)
	}
	d.fail = ErrNoRule
	if err := c.Run(ctx, "nobody"); !refusedWith(err, http.StatusNotFound, ErrNoRule.Error()) {
		t.Errorf("run of no rule: %v", err)
	}
	d.fail = errors.New("policy.yaml:3:4: wrong")
	if err := c.Reload(ctx); !refusedWith(err, http.StatusUnprocessableEntity, "policy.yaml:3:4") {
		t.Errorf("reload of mistakes: %v", err)
	}
}

func refusedWith(err error, status int, text string) bool {
	r, ok := errors.AsType[*Refusal](err)
	return ok && r.Status == status && strings.Contains(err.Error(), text)
}

// TestToken holds who may do what.
func TestToken(t *testing.T) {
	for _, tt := range []struct {
		name, method, path, bears string
		protect                   bool
		want                      int
	}{
		{"a read is open", "GET", "/api/v1/queue", "", false, 200},
		{"unless it is protected", "GET", "/api/v1/queue", "", true, 401},
		{"and borne", "GET", "/api/v1/queue", "Bearer " + token, true, 200},
		{"a further page, too", "GET", "/metrics", "", true, 401},
		{"health never is", "GET", "/healthz", "", true, 200},
		{"nor readiness", "GET", "/readyz", "", true, 200},
		{"a write is not open", "POST", "/api/v1/rules/apps/run", "", false, 401},
		{"for another token", "POST", "/api/v1/rules/apps/run", "Bearer " + token + "0", false, 401},
		{"for another scheme", "POST", "/api/v1/rules/apps/run", "Basic " + token, false, 401},
		{"but for the right one", "POST", "/api/v1/rules/apps/run", "bearer " + token, false, 200},
		{"a write is no GET", "GET", "/api/v1/rules/apps/run", "Bearer " + token, false, 405},
		{"what is not there", "GET", "/api/v2", "", false, 404},
	} {
		t.Run(tt.name, func(t *testing.T) {
			page := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "metrics") })
			url := start(t, &desk{well: true}, func(o *Options) {
				o.ProtectReads, o.Handlers = tt.protect, map[string]http.Handler{"/metrics": page}
			})
			if got, body := do(t, tt.method, url+tt.path, tt.bears, ""); got != tt.want {
				t.Errorf("%s %s is %d %s, want %d", tt.method, tt.path, got, body, tt.want)
			}
		})
	}
	t.Run("no token refuses all writes", func(t *testing.T) {
		url := start(t, &desk{}, func(o *Options) { o.Token = "" })
		for _, bears := range []string{"", "Bearer", "Bearer "} {
			if got, _ := do(t, "POST", url+"/api/v1/policy/reload", bears, ""); got != 401 {
				t.Errorf("bearing %q: %d", bears, got)
			}
		}
	})
}

// do sends one request and returns the answer's status and body.
func do(t *testing.T, method, url, authorization, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(raw)
}

func TestReady(t *testing.T) {
	d := &desk{}
	url := start(t, d)
	for _, tt := range []struct {
		well bool
		want int
	}{{false, 503}, {true, 200}} {
		d.well = tt.well
		got, body := do(t, "GET", url+"/readyz", "", "")
		var r Readiness
		if err := json.Unmarshal([]byte(body), &r); err != nil || got != tt.want || r.Ready != tt.well || r.Checks[0].Detail != "detail" {
			t.Errorf("well %v: %d %s", tt.well, got, body)
		}
	}
}

// TestBadRequests holds that each is answered with what to do, and logged by nobody.
func TestBadRequests(t *testing.T) {
	var log bytes.Buffer
	url := start(t, &desk{}, func(o *Options) { o.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
	for _, tt := range []struct{ method, path, body string }{
		{"GET", "/api/v1/passes?limit=0", ""},
		{"GET", "/api/v1/status?limit=many", ""},
		{"GET", "/api/v1/passes?limit=100000", ""},
		{"POST", "/api/v1/queue/cancel", ""},
		{"POST", "/api/v1/queue/cancel", "{}"},
		{"POST", "/api/v1/queue/cancel", `{"key":"a","all":true}`},
		{"POST", "/api/v1/queue/cancel", `{"key":"` + strings.Repeat("x", 1<<20) + `"}`},
	} {
		got, body := do(t, tt.method, url+tt.path, "Bearer "+token, tt.body)
		var p Problem
		if err := json.Unmarshal([]byte(body), &p); err != nil || got != 400 || p.Error == "" || p.Hint == "" {
			t.Errorf("%s %s: %d %s", tt.method, tt.path, got, body)
		}
	}
	if log.Len() > 0 {
		t.Errorf("logged: %s", log.String())
	}
}

// TestOtherHost holds that a page which has a browser ask this machine under its own
// name gets nothing, and that an address for all to reach has any name.
func TestOtherHost(t *testing.T) {
	url := start(t, &desk{})
	address := strings.TrimPrefix(url, "http://")
	for host, want := range map[string]string{"evil.example": "403", "localhost": "200", "[::1]:9": "200", "127.0.0.1": "200", "": "400"} {
		if got := raw(t, address, "GET /api/v1/queue HTTP/1.1\r\nHost: "+host+"\r\nConnection: close\r\n\r\n"); got != want && !(host == "" && got == "403") {
			t.Errorf("host %q: %s, want %s", host, got, want)
		}
	}
	w := httptest.NewRecorder()
	r := httptest.NewRequest("GET", "http://transship.example/healthz", nil)
	New(Options{Daemon: &desk{}}).Handler().ServeHTTP(w, r)
	if w.Code != 200 {
		t.Errorf("an address that is open to all: %d", w.Code)
	}
}

// raw sends text and returns the answer's status.
func raw(t *testing.T, address, text string) string {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	io.WriteString(c, text)
	line, err := bufio.NewReader(c).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.Fields(line)[1]
}

// TestStateFails holds that it is said, with 500, and logged.
func TestStateFails(t *testing.T) {
	var log bytes.Buffer
	url := start(t, &desk{fail: errors.New("disk on fire")}, func(o *Options) { o.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
	if got, body := do(t, "GET", url+"/api/v1/rules", "", ""); got != 500 || !strings.Contains(body, "disk on fire") {
		t.Errorf("%d %s", got, body)
	}
	if !strings.Contains(log.String(), "disk on fire") {
		t.Errorf("logged: %s", log.String())
	}
}

// TestNoDaemon holds what a client says where no daemon is.
func TestNoDaemon(t *testing.T) {
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<html>") }))
	defer other.Close()
	missing := httptest.NewServer(http.NotFoundHandler())
	defer missing.Close()
	for server, want := range map[string]string{
		"http://127.0.0.1:1": "ask the daemon: ",
		other.URL:            "no transship daemon",
		missing.URL:          "status 404",
		"://":                "cannot be read",
	} {
		if _, err := (&Client{Server: server}).Queue(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", server, err, want)
		}
	}
}
