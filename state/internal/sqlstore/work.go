package sqlstore

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/transship/transship/state"
)

const (
	workColumns = `id, key, wanted, done, attempt, error, hints, priority, not_before, asked, turn, cause,
		running, claim, taken, run_hints, run_priority, run_not_before, run_asked, run_turn, run_cause`

	// lockRows locks the rows of an ask in the order of their keys and returns them,
	// new or old, as they are.
	lockRows = `ON CONFLICT (key) DO UPDATE SET key = excluded.key RETURNING ` + workColumns

	lockRow = `UPDATE work SET key = key WHERE id = $1 RETURNING ` + workColumns

	lockKey = `UPDATE work SET key = key WHERE key = $1 RETURNING ` + workColumns

	saveRow = `UPDATE work SET wanted = $2, done = $3, attempt = $4, error = $5,
		hints = $6, priority = $7, not_before = $8, asked = $9, running = $10, claim = $11, taken = $12,
		run_hints = $13, run_priority = $14, run_not_before = $15, run_asked = $16,
		turn = $17, cause = $18, run_turn = $19, run_cause = $20 WHERE id = $1`

	// Details can be long, and most stay as they are.
	saveDetail = `UPDATE work SET detail = $2 WHERE id = $1 AND detail <> $2`
	readDetail = `SELECT detail FROM work WHERE id = $1`

	dueRows = `SELECT id FROM work WHERE running = 0 AND wanted > done AND not_before <= $1
		ORDER BY priority DESC, turn, not_before, key LIMIT $2`

	// nextTurn is that of the row which comes next, of whatever priority, else of the
	// last that was taken. The plus keeps it to the index that is in the order.
	nextTurn = `SELECT COALESCE(
		(SELECT turn FROM work WHERE running = 0 AND wanted > done AND +not_before <= $1 ORDER BY turn LIMIT 1),
		(SELECT MAX(run_turn) FROM work WHERE running = 1), 0)`

	nextDue = `SELECT COALESCE(MIN(not_before), 0) FROM work WHERE running = 0 AND wanted > done`

	runningRows = `SELECT id FROM work WHERE running = 1 ORDER BY id`

	queueRows = `SELECT ` + workColumns + ` FROM work WHERE running = 1 OR wanted > done ORDER BY priority DESC, key LIMIT $1`

	// queueDepth goes by indexes of the rows that are wanted or run.
	queueDepth = `SELECT (SELECT COUNT(*) FROM work WHERE running = 1),
		(SELECT COUNT(*) FROM work WHERE running = 0 AND wanted > done AND not_before <= CAST($1 AS BIGINT)),
		(SELECT COUNT(*) FROM work WHERE running = 0 AND wanted > done AND not_before > CAST($1 AS BIGINT)),
		(SELECT COALESCE(MIN(not_before), CAST($1 AS BIGINT)) FROM work WHERE running = 0 AND wanted > done)`
)

// Ask implements state.Work. Asks of one key are joined.
func (s *Store) Ask(ctx context.Context, asks ...state.Ask) error {
	for chunk := range slices.Chunk(byKey(asks), batch) {
		err := s.change(ctx, "ask for work", func(tx *sql.Tx) (changed, error) { return s.ask(ctx, tx, chunk) })
		if err != nil {
			return err
		}
		s.wake()
	}
	return nil
}

// byKey returns asks in the order in which rows are locked.
func byKey(asks []state.Ask) []state.Ask {
	asks = slices.Clone(asks)
	slices.SortStableFunc(asks, func(a, b state.Ask) int { return strings.Compare(a.Key, b.Key) })
	return asks
}

// Asked implements state.Work.
func (s *Store) Asked() <-chan struct{} { return s.asked }

func (s *Store) wake() {
	select {
	case s.asked <- struct{}{}:
	default: // one is enough
	}
}

// NextDue implements state.Work.
func (s *Store) NextDue(ctx context.Context) (due time.Time, err error) {
	err = s.query(ctx, "look when work is due", nextDue, nil, func(rows *sql.Rows) error {
		return rows.Scan((*moment)(&due))
	})
	return due, err
}

// ask joins asks, which are in the order of their keys, to their rows.
func (s *Store) ask(ctx context.Context, tx *sql.Tx, asks []state.Ask) (changed, error) {
	keys, err := askedKeys(asks)
	if err != nil {
		return changed{}, err
	}
	now, err := s.e.Now(ctx, tx)
	if err != nil {
		return changed{}, err
	}
	turn, err := numbers(ctx, tx, nextTurn, micros(now))
	if err != nil {
		return changed{}, err
	}
	rows, err := workRows(ctx, tx, `INSERT INTO work (key) VALUES `+values(len(keys), 1)+` `+lockRows, keys...)
	if err != nil {
		return changed{}, err
	}
	byKey := make(map[string]*row, len(rows))
	for i := range rows {
		byKey[rows[i].key] = &rows[i]
	}
	details := map[int64]string{}
	for _, a := range asks {
		r := byKey[a.Key]
		r.ask(wishOf(a, now, turn[0]))
		if a.Detail != "" {
			details[r.id] = a.Detail
		}
	}
	if err := saveRows(ctx, tx, rows); err != nil {
		return changed{}, err
	}
	return changed{now, rows}, saveDetails(ctx, tx, details)
}

// askedKeys are the keys of asks, each once.
func askedKeys(asks []state.Ask) (keys []any, err error) {
	for _, a := range asks {
		if err := checkNames(a.Key); err != nil {
			return nil, err
		}
		if len(a.Detail) > state.MaxDetail {
			return nil, fmt.Errorf("what is kept with %s has %d bytes, and may have %d", a.Key, len(a.Detail), state.MaxDetail)
		}
		keys = append(keys, a.Key)
	}
	return slices.Compact(keys), nil
}

func saveDetails(ctx context.Context, tx *sql.Tx, details map[int64]string) error {
	for _, id := range slices.Sorted(maps.Keys(details)) {
		if _, err := tx.ExecContext(ctx, saveDetail, id, details[id]); err != nil {
			return err
		}
	}
	return nil
}

// Cancel implements state.Work.
func (s *Store) Cancel(ctx context.Context, key string) (was bool, err error) {
	err = s.update(ctx, "cancel "+key, func(tx *sql.Tx) error {
		rows, err := workRows(ctx, tx, lockKey, key)
		if err != nil || len(rows) == 0 {
			return err
		}
		r := &rows[0]
		was = r.wanted > r.done
		r.done = r.wanted
		if err := saveRows(ctx, tx, rows); err != nil || r.running {
			return err // what runs tells its passes itself
		}
		now, err := s.e.Now(ctx, tx)
		if err != nil {
			return err
		}
		_, err = endJob(ctx, tx, state.JobRun{Key: key, Taken: now, Ended: now, Outcome: state.Interrupted})
		return err
	})
	return was, err
}

// Queue implements state.Work.
func (s *Store) Queue(ctx context.Context) ([]state.Row, error) {
	var all []state.Row
	err := s.query(ctx, "read the queue", queueRows, []any{state.MaxQueue}, func(rows *sql.Rows) error {
		r, err := scanRow(rows)
		all = append(all, r.shown())
		return err
	})
	return all, err
}

// Depth implements state.Work.
func (s *Store) Depth(ctx context.Context) (d state.Depth, err error) {
	now := time.Now().Truncate(time.Microsecond)
	err = s.query(ctx, "count the queue", queueDepth, []any{micros(now)}, func(rows *sql.Rows) error {
		var first time.Time
		err := rows.Scan(&d.Running, &d.Due, &d.Later, (*moment)(&first))
		d.Oldest = max(0, now.Sub(first))
		return err
	})
	return d, err
}

func workRows(ctx context.Context, q querier, text string, args ...any) ([]row, error) {
	var all []row
	err := each(ctx, q, text, args, func(rows *sql.Rows) error {
		r, err := scanRow(rows)
		all = append(all, r)
		return err
	})
	return all, err
}

func scanRow(rows *sql.Rows) (r row, err error) {
	err = rows.Scan(&r.id, &r.key, &r.wanted, &r.done, &r.attempt, &r.failure,
		&r.hints, &r.priority, &r.notBefore, &r.asked, &r.turn, &r.cause, (*flag)(&r.running), &r.claim, &r.taken,
		&r.run.hints, &r.run.priority, &r.run.notBefore, &r.run.asked, &r.run.turn, &r.run.cause)
	r.was = r.dueAt()
	return r, err
}

// saveRows prepares its statement where that pays: it costs two more round trips.
func saveRows(ctx context.Context, tx *sql.Tx, rows []row) error {
	switch len(rows) {
	case 0:
		return nil
	case 1:
		_, err := tx.ExecContext(ctx, saveRow, rows[0].columns()...)
		return err
	}
	stmt, err := tx.PrepareContext(ctx, saveRow)
	if err != nil {
		return err
	}
	defer stmt.Close()
	for _, r := range rows {
		if _, err := stmt.ExecContext(ctx, r.columns()...); err != nil {
			return err
		}
	}
	return nil
}

// columns are saveRow's parameters.
func (r row) columns() []any {
	return []any{r.id, r.wanted, r.done, r.attempt, r.failure,
		r.hints.String(), r.priority, r.notBefore, r.asked, bit(r.running), r.claim, r.taken,
		r.run.hints.String(), r.run.priority, r.run.notBefore, r.run.asked,
		r.turn, r.cause, r.run.turn, r.run.cause}
}
