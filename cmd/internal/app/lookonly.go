package app

import (
	"context"
	"errors"
	"io/fs"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/transship/transship/replicator"
	"github.com/transship/transship/state"
	"github.com/transship/transship/state/sqlite"
)

// lookOnly is a memory that is read and not told anything, for commands that
// change nothing and may run beside a sync. Every write that the engine can ask
// for is spelled out.
type lookOnly struct{ state.Store }

var _ replicator.Memory = lookOnly{}

func (lookOnly) SeeSource(context.Context, state.Repo, time.Time, []state.SourceTag) error {
	return nil
}
func (lookOnly) ForgetSource(context.Context, state.Repo, []string) error           { return nil }
func (lookOnly) SetSubjects(context.Context, state.Repo, map[v1.Hash]v1.Hash) error { return nil }
func (lookOnly) ForgetSubjects(context.Context, state.Repo, []v1.Hash) error        { return nil }
func (lookOnly) SetMark(context.Context, state.Repo, string, state.Mark) error      { return nil }
func (lookOnly) SetChecked(context.Context, state.Repo, time.Time, []v1.Hash) error { return nil }
func (lookOnly) Put(context.Context, state.Record) error                            { return nil }
func (lookOnly) Verified(context.Context, state.Repo, time.Time, []string) error    { return nil }
func (lookOnly) Forget(context.Context, state.Repo, []v1.Hash) error                { return nil }
func (lookOnly) ForgetTags(context.Context, state.Repo, []string) error             { return nil }
func (lookOnly) Learn(context.Context, string, string, bool, time.Time) error       { return nil }
func (lookOnly) Refuse(context.Context, string, state.Refusal) error                { return nil }
func (lookOnly) SaveUpload(context.Context, state.Upload) error                     { return nil }
func (lookOnly) DropUpload(context.Context, state.Repo, v1.Hash) error              { return nil }
func (lookOnly) BeginPass(context.Context, state.Pass) (int64, error)               { return 0, nil }
func (lookOnly) EndPass(context.Context, state.Pass) error                          { return nil }
func (lookOnly) SetStanding(context.Context, state.Standing, []state.Item) error    { return nil }

// openState opens the state that a session of these options needs.
func (s *session) openState(ctx context.Context, path string, o sessionOptions) (state.Store, error) {
	if !o.readOnly {
		return sqlite.Open(ctx, path, sqlite.Options{})
	}
	store, err := sqlite.Open(ctx, path, sqlite.Options{ReadOnly: true})
	if errors.Is(err, fs.ErrNotExist) { // nothing is remembered yet, and nothing is left behind
		temporary, _, err := s.temporary()
		if err != nil {
			return nil, err
		}
		fresh, err := sqlite.Open(ctx, temporary, sqlite.Options{})
		if err != nil {
			return nil, err
		}
		return lookOnly{fresh}, nil
	}
	if err != nil {
		return nil, err
	}
	return lookOnly{store}, nil
}
