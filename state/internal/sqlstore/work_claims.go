package sqlstore

import (
	"context"
	"database/sql"
	"time"

	"github.com/transship/transship/state"
)

// candidates is how many due rows are looked at together: the first may be taken
// by another process at the same moment.
const candidates = 16

// rounds is how often Take looks again when others took all that it saw.
const rounds = 3

// adoptEvery is for how long Take does not look for the dead as long as there is
// something else to do.
const adoptEvery = time.Second

// closing bounds the last writes of a store that is closed.
const closing = 10 * time.Second

// A hold is what the store knows of a claim that it gave out.
type hold struct {
	id    int64 // of the row
	claim int64 // its number, which the row must still have
	lost  chan struct{}
}

// Take implements state.Work.
func (s *Store) Take(ctx context.Context) (*state.Claim, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.e.Claims == nil {
		return s.take(ctx)
	}
	fresh := time.Since(s.adopted) < adoptEvery
	if !fresh {
		if err := s.adopt(ctx); err != nil {
			return nil, s.fail(ctx, "look for work", err)
		}
	}
	c, err := s.take(ctx)
	if c != nil || !fresh || ctx.Err() != nil {
		return c, err
	}
	// The session may be broken, or the dead have what is left to do.
	if err := s.adopt(ctx); err != nil {
		return nil, s.fail(ctx, "look for work", err)
	}
	return s.take(ctx)
}

// take claims the first row that is due and that no other process is claiming.
func (s *Store) take(ctx context.Context) (*state.Claim, error) {
	for range rounds {
		c, more, err := s.takeOne(ctx)
		if c != nil || !more || err != nil {
			return c, err
		}
	}
	return nil, nil
}

// takeOne claims one of the first rows that are due. more is false if there is none.
func (s *Store) takeOne(ctx context.Context) (c *state.Claim, more bool, err error) {
	var h hold
	err = s.update(ctx, "take work", func(tx *sql.Tx) error {
		if h.id != 0 {
			s.unlock(ctx, h.id) // the transaction lost a race
		}
		c, h = nil, hold{}
		now, err := s.e.Now(ctx, tx)
		if err != nil {
			return err
		}
		ids, err := numbers(ctx, tx, dueRows, micros(now), candidates)
		if more = len(ids) > 0; err != nil || !more {
			return err
		}
		if h.id, err = s.lockFirst(ctx, ids); err != nil || h.id == 0 {
			return err
		}
		c, err = s.claim(ctx, tx, &h, now)
		return err
	})
	switch {
	case err == nil && c != nil:
		s.held[c] = h
	case h.id != 0:
		s.unlock(ctx, h.id)
	}
	if err != nil {
		return nil, false, err
	}
	return c, more, nil
}

// lockFirst locks the first of ids that no other process has locked; 0 if there is none.
func (s *Store) lockFirst(ctx context.Context, ids []int64) (int64, error) {
	for _, id := range ids {
		if ok, err := s.lock(ctx, id); err != nil {
			return 0, err
		} else if ok {
			return id, nil
		}
	}
	return 0, nil
}

// claim claims the row of h, which is locked, unless it is no longer due.
func (s *Store) claim(ctx context.Context, tx *sql.Tx, h *hold, now time.Time) (*state.Claim, error) {
	rows, err := workRows(ctx, tx, lockRow, h.id)
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	r := &rows[0]
	if r.running && s.orphaned(h.id) {
		r.release()
	}
	if r.running || !r.pending() || r.notBefore > micros(now) {
		return nil, nil
	}
	r.take()
	c := r.claimed()
	h.claim, h.lost = r.claim, make(chan struct{})
	c.Taken, c.Lost = at(micros(now)), h.lost
	if err := tx.QueryRowContext(ctx, readDetail, h.id).Scan(&c.Detail); err != nil {
		return nil, err
	}
	return c, saveRows(ctx, tx, rows)
}

// orphaned reports whether a running row whose lock we have is nobody's: its
// process died, or a Take was called off while its commit was under way.
func (s *Store) orphaned(id int64) bool {
	if s.e.Claims == nil {
		return false // one process, whose runs are all in held
	}
	for _, h := range s.held {
		if h.id == id {
			return false
		}
	}
	return true
}

// Done implements state.Work.
func (s *Store) Done(ctx context.Context, c *state.Claim, failure error, retryIn time.Duration) error {
	return s.end(ctx, "end the run of "+c.Key, c, func(r *row, now time.Time) {
		if failure == nil {
			r.succeed()
		} else {
			r.fail(prose(failure.Error()), micros(now.Add(min(max(0, retryIn), state.MaxRetry))))
		}
	})
}

// Release implements state.Work.
func (s *Store) Release(ctx context.Context, c *state.Claim) error {
	return s.end(ctx, "give back "+c.Key, c, func(r *row, _ time.Time) { r.release() })
}

// end ends a claim by change. A claim whose end could not be written stays held,
// so that the caller may try again.
func (s *Store) end(ctx context.Context, op string, c *state.Claim, change func(*row, time.Time)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	h, ok := s.held[c]
	if !ok {
		return s.fail(ctx, op, state.ErrLost)
	}
	lost := false
	err := s.change(ctx, op, func(tx *sql.Tx) (changed, error) {
		now, err := s.e.Now(ctx, tx)
		if err != nil {
			return changed{}, err
		}
		rows, err := workRows(ctx, tx, lockRow, h.id)
		if err != nil {
			return changed{}, err
		}
		if lost = len(rows) == 0 || !rows[0].running || rows[0].claim != h.claim; lost {
			return changed{}, state.ErrLost
		}
		change(&rows[0], now)
		return changed{now, rows}, saveRows(ctx, tx, rows)
	})
	if lost {
		close(h.lost)
	}
	if err == nil || lost {
		delete(s.held, c)
		s.unlock(ctx, h.id)
		s.wake() // it may be due again
	}
	return err
}

// Adopt gives back the runs of processes that died, as Take does before it looks.
func (s *Store) Adopt(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fail(ctx, "look for the work of processes that died", s.adopt(ctx))
}

// adopt gives back the runs of processes that died.
func (s *Store) adopt(ctx context.Context) error {
	if s.e.Claims == nil {
		return nil
	}
	if err := s.hold(ctx); err != nil {
		return err
	}
	ids, err := s.e.Claims.Orphans(ctx)
	if err != nil {
		return err
	}
	s.adopted = time.Now()
	for _, id := range ids {
		if ok, err := s.lock(ctx, id); err != nil {
			return err
		} else if !ok {
			continue
		}
		err := s.giveBack(ctx, id, anyClaim)
		s.unlock(ctx, id)
		if err != nil {
			return err
		}
	}
	return nil
}

// hold makes sure of the session. If it is another one, what was held is lost, and
// its rows are orphans, as those of the dead.
func (s *Store) hold(ctx context.Context) error {
	fresh, err := s.e.Claims.Session(ctx)
	if fresh {
		for _, h := range s.held {
			close(h.lost)
		}
		clear(s.held)
	}
	return err
}

// Holding implements state.Work. Where only one process writes there is nothing to
// lose.
func (s *Store) Holding(ctx context.Context) error {
	if s.e.Claims == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fail(ctx, "make sure of what is held", s.hold(ctx))
}

// Broke implements state.Work.
func (s *Store) Broke() <-chan struct{} {
	if s.e.Claims == nil {
		return nil
	}
	return s.e.Claims.Broke()
}

// recover gives back all runs and closes all passes of the process that had the
// database before.
func (s *Store) recover(ctx context.Context) error {
	ids, err := numbers(ctx, s.e.Write, runningRows)
	if err != nil {
		return s.fail(ctx, "look for work that was interrupted", err)
	}
	for _, id := range ids {
		if err := s.giveBack(ctx, id, anyClaim); err != nil {
			return err
		}
	}
	return s.update(ctx, "close interrupted passes", func(tx *sql.Tx) error {
		now, err := s.e.Now(ctx, tx)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, interruptPasses, micros(now), string(state.Interrupted))
		return err
	})
}

// anyClaim is for a row that is locked: nobody else can have it.
const anyClaim = -1

// giveBack ends the run of a row if it still is the given claim's.
func (s *Store) giveBack(ctx context.Context, id, claim int64) error {
	return s.change(ctx, "give back interrupted work", func(tx *sql.Tx) (changed, error) {
		now, err := s.e.Now(ctx, tx)
		if err != nil {
			return changed{}, err
		}
		rows, err := workRows(ctx, tx, lockRow, id)
		if err != nil || len(rows) == 0 {
			return changed{}, err
		}
		r := &rows[0]
		if !r.running || claim != anyClaim && claim != r.claim {
			return changed{}, nil
		}
		r.release()
		return changed{now, rows}, saveRows(ctx, tx, rows)
	})
}

// releaseAll gives back what is held when the store closes.
func (s *Store) releaseAll() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), closing)
	defer cancel()
	for c, h := range s.held {
		delete(s.held, c)
		if err := s.giveBack(ctx, h.id, h.claim); err != nil {
			return err
		}
		s.unlock(ctx, h.id)
	}
	return nil
}

func (s *Store) lock(ctx context.Context, id int64) (bool, error) {
	if s.e.Claims == nil {
		return true, nil
	}
	return s.e.Claims.Lock(ctx, id)
}

// unlock needs no error: a lock that cannot be given back goes with its session.
func (s *Store) unlock(ctx context.Context, id int64) {
	if s.e.Claims != nil {
		_ = s.e.Claims.Unlock(context.WithoutCancel(ctx), id)
	}
}

func numbers(ctx context.Context, q querier, text string, args ...any) ([]int64, error) {
	var ids []int64
	err := each(ctx, q, text, args, func(rows *sql.Rows) error {
		var id int64
		err := rows.Scan(&id)
		ids = append(ids, id)
		return err
	})
	return ids, err
}
