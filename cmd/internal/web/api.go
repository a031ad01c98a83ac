package web

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/transship/transship/replicator"
	"github.com/transship/transship/state"
)

// An answer makes what is sent as JSON, or an error.
type answer func(r *http.Request) (any, error)

// A refused request is one that cannot be answered as it is.
type refused struct {
	status int
	error
	hint string
}

func badRequest(hint, format string, args ...any) error {
	return refused{http.StatusBadRequest, fmt.Errorf(format, args...), hint}
}

func (s *Server) answers(h answer) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
		v, err := h(r)
		if err == nil {
			send(w, http.StatusOK, v)
			return
		}
		status, hint := http.StatusInternalServerError, ""
		if f, ok := errors.AsType[refused](err); ok {
			status, hint = f.status, f.hint
		}
		if errors.Is(err, state.ErrFull) {
			hint = "free some disk where the daemon's state is; it goes on by itself then"
		}
		if errors.Is(err, ErrNoRule) {
			status, hint = http.StatusNotFound, "GET /api/v1/rules lists them"
		}
		if status == http.StatusInternalServerError {
			s.o.Logger.Error("a request could not be answered", "path", r.URL.Path, "err", err)
		}
		send(w, status, Problem{err.Error(), hint})
	})
}

func (s *Server) health(w http.ResponseWriter, _ *http.Request) {
	send(w, http.StatusOK, map[string]string{"status": "ok"})
}

// Readiness is the answer of /readyz.
type Readiness struct {
	Ready  bool    `json:"ready"`
	Checks []Check `json:"checks"`
}

func (s *Server) ready(w http.ResponseWriter, r *http.Request) {
	answer, status := Readiness{Ready: true, Checks: s.o.Daemon.Ready(r.Context())}, http.StatusOK
	for _, c := range answer.Checks {
		answer.Ready = answer.Ready && c.OK
	}
	if !answer.Ready {
		status = http.StatusServiceUnavailable
	}
	send(w, status, answer)
}

// Status is the answer of /api/v1/status, and what transship status prints.
type Status struct {
	Lags      []replicator.Lag `json:"lags"`
	Passes    []state.Pass     `json:"passes"`
	Standings []state.Standing `json:"standings"`
	Items     []state.Item     `json:"items"`
}

func (s *Server) status(r *http.Request) (any, error) {
	rule := r.FormValue("rule")
	limit, err := limitOf(r)
	if err != nil {
		return nil, err
	}
	a := Status{Lags: []replicator.Lag{}, Passes: []state.Pass{}, Standings: []state.Standing{}, Items: []state.Item{}}
	lags, err := s.o.Daemon.Lags(r.Context())
	if err != nil {
		return nil, err
	}
	for _, l := range lags {
		if rule == "" || l.Rule == rule {
			a.Lags = append(a.Lags, l)
		}
	}
	if a.Passes, err = listed(s.o.State.Passes(r.Context(), rule, limit)); err != nil {
		return nil, err
	}
	if a.Standings, err = listed(s.o.State.Standings(r.Context(), rule)); err != nil {
		return nil, err
	}
	a.Items, err = listed(s.o.State.Items(r.Context(), rule, limit))
	return a, err
}

// listed is a list that JSON shows as one, empty or not.
func listed[T any](list []T, err error) ([]T, error) {
	if list == nil {
		list = []T{}
	}
	return list, err
}

func limitOf(r *http.Request) (int, error) {
	text := r.FormValue("limit")
	if text == "" {
		return 20, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > maxAnswers {
		return 0, badRequest(fmt.Sprintf("1 to %d", maxAnswers), "limit is %q", text)
	}
	return n, nil
}

func (s *Server) rules(r *http.Request) (any, error) { return listed(s.o.Daemon.Rules(r.Context())) }

func (s *Server) passes(r *http.Request) (any, error) {
	limit, err := limitOf(r)
	if err != nil {
		return nil, err
	}
	return listed(s.o.State.Passes(r.Context(), r.FormValue("rule"), limit))
}

func (s *Server) queue(r *http.Request) (any, error) { return listed(s.o.State.Queue(r.Context())) }

// Done is the answer to a write.
type Done struct {
	Done bool `json:"done"`
}

func (s *Server) run(r *http.Request) (any, error) {
	return Done{true}, s.o.Daemon.Run(r.Context(), r.PathValue("rule"))
}

func (s *Server) pause(paused bool) answer {
	return func(r *http.Request) (any, error) {
		return Done{true}, s.o.Daemon.Pause(r.Context(), r.PathValue("rule"), paused)
	}
}

func (s *Server) cancel(r *http.Request) (any, error) {
	var ask struct{ Key string }
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	if err := d.Decode(&ask); err != nil || ask.Key == "" {
		return nil, badRequest(`send {"key": "run/…"}`, "the body does not say what to cancel")
	}
	was, err := s.o.Daemon.Cancel(r.Context(), ask.Key)
	if err == nil && !was {
		return nil, refused{http.StatusNotFound, fmt.Errorf("nothing in the queue is called %s, or it is done", ask.Key), "GET /api/v1/queue lists what is"}
	}
	return Done{was}, err
}

func (s *Server) reload(r *http.Request) (any, error) {
	if err := s.o.Daemon.Reload(r.Context()); err != nil {
		return nil, refused{http.StatusUnprocessableEntity, err, "the policy before it stays in force"}
	}
	return Done{true}, nil
}
