package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/transship/transship/state"
)

// A Store implements state.Store over an engine. It starts no goroutine.
type Store struct {
	e      Engine
	closed atomic.Bool
	asked  chan struct{} // has one where something may be due

	mu      sync.Mutex // around claims: they share one session
	held    map[*state.Claim]hold
	adopted time.Time // when the dead were last looked for
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
	return s.fail(ctx, op, s.retry(func() error { return s.once(ctx, do) }))
}

// retry runs do, and again as long as it lost a race.
func (s *Store) retry(do func() error) (err error) {
	for range tries {
		if err = do(); err == nil || !s.e.Again(err) {
			break
		}
	}
	return err
}

func (s *Store) once(ctx context.Context, do func(tx *sql.Tx) error) error {
	return s.within(ctx, s.e.Write, do)
}

// A beginner is a pool or a connection.
type beginner interface {
	BeginTx(ctx context.Context, opts *sql.TxOptions) (*sql.Tx, error)
}

func (s *Store) within(ctx context.Context, b beginner, do func(tx *sql.Tx) error) error {
	if s.closed.Load() {
		return state.ErrClosed
	}
	if s.e.ReadOnly {
		return errReadOnly
	}
	tx, err := b.BeginTx(ctx, nil)
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
