// Package web is the daemon's HTTP side: health, and a JSON API over what state
// knows and what the daemon is asked for. It reads state and asks for work; it
// decides nothing, and knows no registry.
package web

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	_ "embed"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/transship/transship/replicator"
	"github.com/transship/transship/state"
)

// A Reader is what the API reads of state. A [state.Store] is one.
type Reader interface {
	Passes(ctx context.Context, rule string, limit int) ([]state.Pass, error)
	Standings(ctx context.Context, rule string) ([]state.Standing, error)
	Items(ctx context.Context, rule string, limit int) ([]state.Item, error)
	Queue(ctx context.Context) ([]state.Row, error)
}

// A Daemon is asked for what changes something, and what only it knows.
type Daemon interface {
	// Rules returns the rules in force, in the policy's order.
	Rules(ctx context.Context) ([]Rule, error)
	// Lags returns how far targets are behind.
	Lags(ctx context.Context) ([]replicator.Lag, error)
	// Run asks for a run of a rule by hand. ErrNoRule: there is none of that name.
	Run(ctx context.Context, rule string) error
	// Pause has the schedule leave a rule alone, or take it up again: jobs of it that
	// are in the queue still run. ErrNoRule as above.
	Pause(ctx context.Context, rule string, paused bool) error
	// Cancel makes a key of the queue not wanted, and reports whether it was.
	Cancel(ctx context.Context, key string) (bool, error)
	// Reload reads the policy again; an error leaves the old one in force.
	Reload(ctx context.Context) error
	// Ready returns what has to be well for the daemon to do its work.
	Ready(ctx context.Context) []Check
}

// ErrNoRule is the error of a Daemon that is asked for a rule it does not have.
var ErrNoRule = errors.New("no rule of that name is in the policy")

// A Rule is one rule of the policy in force.
type Rule struct {
	Name     string    `json:"name"`
	Schedule string    `json:"schedule,omitempty"`
	Windows  []string  `json:"windows,omitempty"`
	Paused   string    `json:"paused,omitempty"` // by what: "policy", "hand"
	Ticked   time.Time `json:"ticked,omitzero"`  // the last time of its schedule that was asked for
	Next     time.Time `json:"next,omitzero"`    // the next one
}

// A Check is one thing that has to be well.
type Check struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail,omitempty"` // what is wrong, or worth knowing
}

// Options of a [Server].
type Options struct {
	State  Reader
	Daemon Daemon
	// Token is what a request has to bear to change something. "" refuses all of these.
	Token string
	// ProtectReads wants the token for reads, too; health is open in any case.
	ProtectReads bool
	// Handlers are further pages by pattern, such as /metrics; they are protected as
	// reads are.
	Handlers map[string]http.Handler
	Logger   *slog.Logger
}

// A Server answers requests.
type Server struct {
	o    Options
	http *http.Server
	most int // connections
}

const (
	maxHeader  = 16 << 10
	maxAnswers = 1000 // items and passes in one answer
)

// New returns a server that does not listen yet.
func New(o Options) *Server {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Server{o: o, most: maxConns}
	s.http = &http.Server{
		Handler:           s.routes(),
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      time.Minute, // of one that never reads
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(o.Logger.Handler(), slog.LevelDebug),
	}
	return s
}

// Handler is what answers, for tests and other servers.
func (s *Server) Handler() http.Handler { return s.http.Handler }

// Serve answers on l until ctx ends; requests under way have five seconds then.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	if isLoopback(l.Addr().String()) {
		s.http.Handler = localOnly(s.http.Handler)
	}
	failed := make(chan error, 1)
	go func() { failed <- s.http.Serve(newLimited(l, s.most)) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	err := s.http.Shutdown(last)
	if errors.Is(err, context.DeadlineExceeded) {
		err = s.http.Close()
	}
	<-failed
	return err
}

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", s.health)
	mux.HandleFunc("GET /readyz", s.ready)
	read := func(pattern string, h answer) { mux.Handle("GET "+pattern, s.reads(s.answers(h))) }
	write := func(pattern string, h answer) { mux.Handle("POST "+pattern, s.writes(s.answers(h))) }
	mux.Handle("GET /api/v1/openapi.yaml", http.HandlerFunc(describe))
	mux.Handle("GET /api/v1/proof", s.answers(s.prove))
	read("/api/v1/status", s.status)
	read("/api/v1/rules", s.rules)
	read("/api/v1/passes", s.passes)
	read("/api/v1/queue", s.queue)
	write("/api/v1/rules/{rule}/run", s.run)
	write("/api/v1/rules/{rule}/pause", s.pause(true))
	write("/api/v1/rules/{rule}/resume", s.pause(false))
	write("/api/v1/queue/cancel", s.cancel)
	write("/api/v1/policy/reload", s.reload)
	for pattern, h := range s.o.Handlers {
		mux.Handle("GET "+pattern, s.reads(h))
	}
	return mux
}

//go:embed openapi.yaml
var description []byte

// describe answers with what the API is.
func describe(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/yaml")
	_, _ = w.Write(description) // whoever asked has gone
}

// reads wants the token where reads are protected.
func (s *Server) reads(h http.Handler) http.Handler {
	if !s.o.ProtectReads {
		return h
	}
	return s.writes(h)
}

// writes wants the token.
func (s *Server) writes(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !s.bears(r) {
			w.Header().Set("WWW-Authenticate", `Bearer realm="transship"`)
			send(w, http.StatusUnauthorized, Problem{"the request does not bear the daemon's token",
				"send Authorization: Bearer TOKEN with what is in the daemon's token file"})
			return
		}
		h.ServeHTTP(w, r)
	})
}

func (s *Server) bears(r *http.Request) bool {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	have, want := sha256.Sum256([]byte(token)), sha256.Sum256([]byte(s.o.Token))
	return s.o.Token != "" && strings.EqualFold(scheme, "bearer") && subtle.ConstantTimeCompare(have[:], want[:]) == 1
}

// A Problem is the answer to what could not be done.
type Problem struct {
	Error string `json:"error"`
	Hint  string `json:"hint,omitempty"`
}

func send(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	_ = e.Encode(v) // whoever asked has gone
}

// isLoopback reports whether an address with a port is of this machine alone.
func isLoopback(address string) bool {
	at, err := netip.ParseAddrPort(address)
	return err == nil && at.Addr().Unmap().IsLoopback()
}

// localOnly refuses requests that a page of another site makes a browser send to
// this machine: they name that site as the host.
func localOnly(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if name, _, err := net.SplitHostPort(host); err == nil {
			host = name
		}
		ip, err := netip.ParseAddr(strings.Trim(host, "[]"))
		if !strings.EqualFold(host, "localhost") && (err != nil || !ip.Unmap().IsLoopback()) {
			send(w, http.StatusForbidden, Problem{"the request is for another host", "ask for 127.0.0.1 or localhost"})
			return
		}
		h.ServeHTTP(w, r)
	})
}
