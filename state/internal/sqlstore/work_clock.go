package sqlstore

import (
	"context"
	"database/sql"
	"time"

	"github.com/transship/transship/state"
)

const (
	// aheadRows are those that wait for a time which nobody meant: they were asked for
	// later than now, or failed and wait longer than any failure does.
	aheadRows = `SELECT id FROM work WHERE running = 0 AND wanted > done AND not_before > $1
		AND (asked > $2 OR attempt > 0 AND not_before > $3) ORDER BY not_before DESC LIMIT $4`

	// A pass that was begun later than now waits for runs that were begun after it.
	aheadPasses = `UPDATE pass_job SET at = $1 WHERE at > $2`
)

// Settle implements state.Work.
func (s *Store) Settle(ctx context.Context) (total int, err error) {
	for n := batch; err == nil && n == batch; {
		err = s.change(ctx, "bring back what waits for a time too far ahead", func(tx *sql.Tx) (c changed, err error) {
			c, err = s.settle(ctx, tx)
			n = len(c.rows)
			return c, err
		})
		if err == nil {
			total += n
		}
	}
	if total > 0 {
		s.wake()
	}
	return total, err
}

// settle brings a batch back.
func (s *Store) settle(ctx context.Context, tx *sql.Tx) (changed, error) {
	now, err := s.e.Now(ctx, tx)
	if err != nil {
		return changed{}, err
	}
	late, longest := micros(now.Add(ahead)), micros(now.Add(state.MaxRetry+ahead))
	if _, err := tx.ExecContext(ctx, aheadPasses, micros(now), late); err != nil {
		return changed{}, err
	}
	ids, err := numbers(ctx, tx, aheadRows, micros(now), late, longest, batch)
	if err != nil {
		return changed{}, err
	}
	settled := changed{now: now}
	for _, id := range ids {
		rows, err := workRows(ctx, tx, lockRow, id)
		if err != nil {
			return changed{}, err
		}
		for i := range rows {
			rows[i].settle(now)
		}
		settled.rows = append(settled.rows, rows...)
	}
	return settled, saveRows(ctx, tx, settled.rows)
}

// settle has the row wait from now on for as long as was meant: for as long as was
// asked, or until it is tried again, which it has waited for enough.
func (r *row) settle(now time.Time) {
	us, meant := micros(now), int64(0)
	if r.asked > us {
		meant = r.notBefore - r.asked
		r.asked = us
	}
	r.notBefore = min(r.notBefore, us+meant)
}
