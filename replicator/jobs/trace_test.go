package jobs

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/transship/transship/state"
)

// told keeps what passes were ended with.
type told struct {
	note  string
	begun int
	ended []state.Pass
}

func (t *told) Pass(ctx context.Context, _, _ string) (context.Context, func(state.Pass)) {
	t.begun++
	return ctx, func(p state.Pass) { t.ended = append(t.ended, p) }
}
func (t *told) Note(context.Context) string                        { return t.note }
func (*told) Resume(ctx context.Context, _ string) context.Context { return ctx }

var errState = errors.New("state is away")

// A brokenStore fails at one call.
type brokenStore struct {
	state.Store
	at string
}

func (s *brokenStore) fails(call string) error {
	if s.at == call {
		return errState
	}
	return nil
}

func (s *brokenStore) BeginPass(ctx context.Context, p state.Pass) (int64, error) {
	if err := s.fails("begin pass"); err != nil {
		return 0, err
	}
	return s.Store.BeginPass(ctx, p)
}

func (s *brokenStore) EndPass(ctx context.Context, p state.Pass) error {
	if err := s.fails("end pass"); err != nil {
		return err
	}
	return s.Store.EndPass(ctx, p)
}

func (s *brokenStore) BeginJobs(ctx context.Context, p state.Pass, keys []string) (int64, error) {
	if err := s.fails("begin jobs"); err != nil {
		return 0, err
	}
	return s.Store.BeginJobs(ctx, p, keys)
}

func (s *brokenStore) Ask(ctx context.Context, asks ...state.Ask) error {
	if err := s.fails("ask"); err != nil {
		return err
	}
	return s.Store.Ask(ctx, asks...)
}

func (s *brokenStore) Standings(ctx context.Context, rule string) ([]state.Standing, error) {
	if err := s.fails("standings"); err != nil {
		return nil, err
	}
	return s.Store.Standings(ctx, rule)
}

// TestPassIsEndedOnce holds that a Tracer is told once how a pass ended, and that one
// which has no jobs under way is not told of as running, whatever fails.
func TestPassIsEndedOnce(t *testing.T) {
	for _, tt := range []struct {
		name, repo, broken string
		stopped            bool
		want               state.Outcome
		says               string
	}{
		{name: "it goes on in its jobs", repo: "a", want: state.Running},
		{name: "jobs cannot be sorted", repo: "a", broken: "standings", want: state.FailedWhole, says: errState.Error()},
		{name: "jobs cannot be begun", repo: "a", broken: "begin jobs", want: state.FailedWhole, says: errState.Error()},
		{name: "jobs cannot be asked for", repo: "a", broken: "ask", want: state.FailedWhole, says: errState.Error()},
		{name: "stopped", repo: "a", stopped: true, want: state.Interrupted},
		{name: "no job", want: state.FailedWhole, says: "it matches no repository of src"},
		{name: "no job, and not begun", broken: "begin pass", want: state.FailedWhole, says: errState.Error()},
		{name: "no job, and not ended", broken: "end pass", want: state.FailedWhole, says: "it matches no repository of src"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t, one)
			if tt.repo != "" {
				r.load(tt.repo, "v1")
			}
			tracer := &told{}
			w := New(Options{Store: &brokenStore{Store: r.store, at: tt.broken}, Current: r.current, Tracer: tracer})
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if tt.stopped {
				cancel()
			}
			w.expand(ctx, r.current(), "apps", &state.Claim{Key: ExpandKey("apps"), Cause: BySchedule})
			if tracer.begun != 1 || len(tracer.ended) != 1 {
				t.Fatalf("%d passes began, and were ended %d times", tracer.begun, len(tracer.ended))
			}
			if p := tracer.ended[0]; p.Outcome != tt.want || p.Error != tt.says {
				t.Errorf("ended as %q with %q, want %q with %q", p.Outcome, p.Error, tt.want, tt.says)
			}
		})
	}
}

// TestNoteIsKept holds that a job is left out whose row could not keep the tracer's
// note, too, however long that is.
func TestNoteIsKept(t *testing.T) {
	for note, want := range map[string]state.Outcome{"": state.Running, strings.Repeat("n", 300): state.FailedWhole} {
		r := newRig(t, one)
		r.load("a", "v1")
		tracer := &told{note: note}
		w := New(Options{Store: r.store, Current: r.current, Tracer: tracer, mostDetail: 300})
		w.expand(t.Context(), r.current(), "apps", &state.Claim{Key: ExpandKey("apps"), Cause: BySchedule})
		if p := tracer.ended[0]; p.Outcome != want || want == state.FailedWhole && !strings.Contains(p.Error, "more than the queue keeps") {
			t.Errorf("with a note of %d bytes: %q, %q, want %q", len(note), p.Outcome, p.Error, want)
		}
	}
}
