package sqlstore

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/transship/transship/state"
)

const (
	ticked = `INSERT INTO rule_time (rule, ticked, paused) VALUES ($1, $2, 0)
		ON CONFLICT (rule) DO UPDATE SET ticked = excluded.ticked
		WHERE rule_time.ticked < excluded.ticked OR rule_time.ticked > $3`

	pauseRule = `INSERT INTO rule_time (rule, ticked, paused) VALUES ($1, 0, $2)
		ON CONFLICT (rule) DO UPDATE SET paused = excluded.paused`

	ruleTimes = `SELECT rule, ticked, paused FROM rule_time`
)

// ahead is how far ahead of the store's clock another process's may be.
const ahead = time.Minute

// Tick implements state.Schedule.
func (s *Store) Tick(ctx context.Context, rule string, when time.Time, asks ...state.Ask) (won bool, err error) {
	err = s.change(ctx, "note that rule "+rule+" is due", func(tx *sql.Tx) (changed, error) {
		if err := checkNames(rule); err != nil {
			return changed{}, err
		}
		now, err := s.e.Now(ctx, tx)
		if err != nil {
			return changed{}, err
		}
		result, err := tx.ExecContext(ctx, ticked, rule, micros(when), micros(now.Add(ahead)))
		if err != nil {
			return changed{}, err
		}
		n, err := result.RowsAffected()
		if won = n > 0; err != nil || !won || len(asks) == 0 {
			return changed{}, err
		}
		if len(asks) > batch {
			return changed{}, fmt.Errorf("%d asks at once, and at most %d are", len(asks), batch)
		}
		return s.ask(ctx, tx, byKey(asks))
	})
	if won && err == nil {
		s.wake()
	}
	return won && err == nil, err
}

// Rules implements state.Schedule.
func (s *Store) Rules(ctx context.Context) (map[string]state.RuleTime, error) {
	all := map[string]state.RuleTime{}
	err := s.query(ctx, "read the times of rules", ruleTimes, nil, func(rows *sql.Rows) error {
		var rule string
		var r state.RuleTime
		err := rows.Scan(&rule, (*moment)(&r.Ticked), (*flag)(&r.Paused))
		all[rule] = r
		return err
	})
	return all, err
}

// Pause implements state.Schedule.
func (s *Store) Pause(ctx context.Context, rule string, paused bool) error {
	return s.update(ctx, "pause or resume rule "+rule, func(tx *sql.Tx) error {
		if err := checkNames(rule); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, pauseRule, rule, bit(paused))
		return err
	})
}
