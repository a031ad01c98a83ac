package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"

	"github.com/transship/transship/state"
)

const (
	workColumns = `id, key, wanted, done, attempt, error, hints, priority, not_before, asked,
		running, claim, taken, run_hints, run_priority, run_not_before, run_asked`

	// lockRows locks the rows of an ask in the order of their keys and returns them,
	// new or old, as they are.
	lockRows = `ON CONFLICT (key) DO UPDATE SET key = excluded.key RETURNING ` + workColumns

	lockRow = `UPDATE work SET key = key WHERE id = $1 RETURNING ` + workColumns

	lockKey = `UPDATE work SET key = key WHERE key = $1 RETURNING ` + workColumns

	saveRow = `UPDATE work SET wanted = $2, done = $3, attempt = $4, error = $5,
		hints = $6, priority = $7, not_before = $8, asked = $9, running = $10, claim = $11, taken = $12,
		run_hints = $13, run_priority = $14, run_not_before = $15, run_asked = $16 WHERE id = $1`

	dueRows = `SELECT id FROM work WHERE running = 0 AND wanted > done AND not_before <= $1
		ORDER BY priority DESC, not_before, key LIMIT $2`

	runningRows = `SELECT id FROM work WHERE running = 1 ORDER BY id`

	queueRows = `SELECT ` + workColumns + ` FROM work WHERE running = 1 OR wanted > done ORDER BY priority DESC, key`
)

// errLost is the answer to a result that came after its claim had ended.
var errLost = errors.New("the claim has ended: it was given back, or lost with its session")

// Ask implements state.Work. Asks of one key are joined.
func (s *Store) Ask(ctx context.Context, asks ...state.Ask) error {
	asks = slices.Clone(asks)
	slices.SortStableFunc(asks, func(a, b state.Ask) int { return strings.Compare(a.Key, b.Key) })
	for chunk := range slices.Chunk(asks, batch) {
		err := s.update(ctx, "ask for work", func(tx *sql.Tx) error { return s.ask(ctx, tx, chunk) })
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) ask(ctx context.Context, tx *sql.Tx, asks []state.Ask) error {
	keys := make([]string, 0, len(asks))
	for _, a := range asks {
		if err := checkNames(a.Key); err != nil {
			return err
		}
		keys = append(keys, a.Key)
	}
	now, err := s.e.Now(ctx, tx)
	if err != nil {
		return err
	}
	keys = slices.Compact(keys)
	args := make([]any, len(keys))
	for i, k := range keys {
		args[i] = k
	}
	rows, err := workRows(ctx, tx, `INSERT INTO work (key) VALUES `+values(len(keys), 1)+` `+lockRows, args...)
	if err != nil {
		return err
	}
	byKey := make(map[string]*row, len(rows))
	for i := range rows {
		byKey[rows[i].key] = &rows[i]
	}
	for _, a := range asks {
		byKey[a.Key].ask(wishOf(a, now))
	}
	return saveRows(ctx, tx, rows)
}

// Cancel implements state.Work.
func (s *Store) Cancel(ctx context.Context, key string) (was bool, err error) {
	err = s.update(ctx, "cancel "+key, func(tx *sql.Tx) error {
		rows, err := workRows(ctx, tx, lockKey, key)
		if err != nil || len(rows) == 0 {
			return err
		}
		was = rows[0].wanted > rows[0].done
		rows[0].done = rows[0].wanted
		return saveRows(ctx, tx, rows)
	})
	return was, err
}

// Queue implements state.Work.
func (s *Store) Queue(ctx context.Context) ([]state.Row, error) {
	var all []state.Row
	err := s.query(ctx, "read the queue", queueRows, nil, func(rows *sql.Rows) error {
		r, err := scanRow(rows)
		all = append(all, r.shown())
		return err
	})
	return all, err
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
		&r.hints, &r.priority, &r.notBefore, &r.asked, (*flag)(&r.running), &r.claim, &r.taken,
		&r.run.hints, &r.run.priority, &r.run.notBefore, &r.run.asked)
	return r, err
}

func saveRows(ctx context.Context, tx *sql.Tx, rows []row) error {
	stmt, err := tx.PrepareContext(ctx, saveRow)
	if err != nil {
		return err
	}
	defer stmt.Close()
	for _, r := range rows {
		_, err := stmt.ExecContext(ctx, r.id, r.wanted, r.done, r.attempt, r.failure,
			r.hints.String(), r.priority, r.notBefore, r.asked, bit(r.running), r.claim, r.taken,
			r.run.hints.String(), r.run.priority, r.run.notBefore, r.run.asked)
		if err != nil {
			return err
		}
	}
	return nil
}
