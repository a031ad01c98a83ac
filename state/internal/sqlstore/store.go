package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/transship/transship/state"
)

// A Store implements state.Store over an engine. It starts no goroutine.
type Store struct {
	e      Engine
	closed atomic.Bool
	asked  chan struct{} // has one where something may be due

	mu   sync.Mutex // around claims: they share one session
	held map[*state.Claim]hold
}

// New returns the store over e, whose schema is up to date. Where only one
// process writes (no Claims), the runs of a process that died are given back.
func New(ctx context.Context, e Engine) (*Store, error) {
	s := &Store{e: e, held: make(map[*state.Claim]hold), asked: make(chan struct{}, 1)}
	if e.Claims == nil && !e.ReadOnly {
		if err := s.recover(ctx); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// Close gives the claims back that are still held and closes the pools.
func (s *Store) Close() error {
	if s.closed.Load() {
		return nil
	}
	released := s.releaseAll()
	if s.closed.Swap(true) {
		return nil
	}
	if s.e.Read != s.e.Write {
		released = errors.Join(released, s.e.Read.Close())
	}
	return errors.Join(released, s.e.Write.Close()) // last: it can empty a write-ahead log
}

var errReadOnly = errors.New("state is open for reading only")

// tries is how often a transaction that lost a race is run.
const tries = 5

// update runs do in a transaction of its own; do may run again.
func (s *Store) update(ctx context.Context, op string, do func(tx *sql.Tx) error) error {
	var err error
	for range tries {
		err = s.once(ctx, do)
		if err == nil || !s.e.Again(err) {
			break
		}
	}
	return s.fail(ctx, op, err)
}

func (s *Store) once(ctx context.Context, do func(tx *sql.Tx) error) error {
	if s.closed.Load() {
		return state.ErrClosed
	}
	if s.e.ReadOnly {
		return errReadOnly
	}
	tx, err := s.e.Write.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // nothing once it is committed
	if err := do(tx); err != nil {
		return err
	}
	return tx.Commit()
}

// query reads by text outside a transaction.
func (s *Store) query(ctx context.Context, op, text string, args []any, scan func(*sql.Rows) error) error {
	if s.closed.Load() {
		return s.fail(ctx, op, state.ErrClosed)
	}
	return s.fail(ctx, op, each(ctx, s.e.Read, text, args, scan))
}

// fail says what failed, in the errors of package state.
func (s *Store) fail(ctx context.Context, op string, err error) error {
	switch {
	case err == nil:
		return nil
	case s.closed.Load():
		err = state.ErrClosed
	case ctx.Err() != nil:
		err = context.Cause(ctx)
	default:
		err = s.e.Explain(err)
	}
	return fmt.Errorf("%s: %w", op, err)
}
