package sqlstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/transship/transship/state"
)

const (
	beginPass = `INSERT INTO pass (rule, cause, started, outcome) VALUES ($1, $2, $3, $4) RETURNING id`

	endPass = `UPDATE pass SET ended = $2, outcome = $3, error = $4, figures = $5 WHERE id = $1`

	passes = `SELECT id, rule, cause, started, ended, outcome, error, figures, jobs, ran FROM pass`

	allPasses  = passes + ` ORDER BY id DESC LIMIT $1`
	rulePasses = passes + ` WHERE rule = $2 ORDER BY id DESC LIMIT $1`

	// A pass of jobs goes on with them.
	interruptPasses = `UPDATE pass SET ended = $1, outcome = $2 WHERE ended = 0 AND jobs = 0`

	prunePasses = `DELETE FROM pass WHERE id IN
		(SELECT id FROM pass p WHERE ended > 0 AND ended < $1
			AND id < (SELECT n.id FROM pass n WHERE n.rule = p.rule ORDER BY n.id DESC LIMIT 1 OFFSET $3)
		ORDER BY ended, id LIMIT $2)`

	// What is asked for meanwhile stays: the conditions hold of the row as it is then.
	pruneWork = `DELETE FROM work WHERE running = 0 AND wanted <= done AND asked < $1
		AND id IN (SELECT id FROM work WHERE running = 0 AND wanted <= done AND asked < $1 ORDER BY asked LIMIT $2)`

	pruneRefusals = `DELETE FROM refusal WHERE until < $1`
)

// BeginPass implements state.History.
func (s *Store) BeginPass(ctx context.Context, p state.Pass) (id int64, err error) {
	err = s.update(ctx, "record the begin of a pass", func(tx *sql.Tx) error {
		if err := checkNames(p.Rule); err != nil {
			return err
		}
		return tx.QueryRowContext(ctx, beginPass, p.Rule, prose(p.Trigger), micros(p.Started),
			string(state.Running)).Scan(&id)
	})
	return id, err
}

// EndPass implements state.History.
func (s *Store) EndPass(ctx context.Context, p state.Pass) error {
	figures, err := json.Marshal(p.Figures)
	if err != nil {
		return err
	}
	return s.update(ctx, fmt.Sprintf("record the end of pass %d", p.ID), func(tx *sql.Tx) error {
		result, err := tx.ExecContext(ctx, endPass, p.ID, micros(p.Ended), string(p.Outcome), prose(p.Error), string(figures))
		if err != nil {
			return err
		}
		n, err := result.RowsAffected()
		if err == nil && n == 0 {
			err = errors.New("there is no such pass")
		}
		return err
	})
}

// Passes implements state.History. A limit of 0 returns all.
func (s *Store) Passes(ctx context.Context, rule string, limit int) ([]state.Pass, error) {
	text, args := allPasses, []any{most(limit)}
	if rule != "" {
		text, args = rulePasses, append(args, rule)
	}
	var all []state.Pass
	err := s.query(ctx, "read passes", text, args, func(rows *sql.Rows) error {
		var p state.Pass
		var figures []byte
		err := rows.Scan(&p.ID, &p.Rule, &p.Trigger, (*moment)(&p.Started), (*moment)(&p.Ended),
			&p.Outcome, &p.Error, &figures, &p.Jobs, &p.Ran)
		if err != nil {
			return err
		}
		all = append(all, p)
		return json.Unmarshal(figures, &all[len(all)-1].Figures)
	})
	return all, err
}

// most is a limit as SQL has it.
func most(limit int) int64 {
	if limit <= 0 {
		return math.MaxInt64
	}
	return int64(limit)
}

// Prune implements state.History. It drops refused mounts that lapsed by then too,
// and does not count them.
func (s *Store) Prune(ctx context.Context, before time.Time) (int64, error) {
	total, err := s.prune(ctx, "prune history", prunePasses, micros(before), batch, state.KeptPasses-1)
	if err != nil {
		return total, err
	}
	if _, err := s.prune(ctx, "prune the queue", pruneWork, micros(before), batch); err != nil {
		return total, err
	}
	return total, s.update(ctx, "prune refused mounts", func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, pruneRefusals, micros(before))
		return err
	})
}

// prune runs text until it drops less than a batch, and returns how many rows it
// dropped.
func (s *Store) prune(ctx context.Context, op, text string, args ...any) (total int64, err error) {
	for n := int64(batch); err == nil && n == batch; {
		err = s.update(ctx, op, func(tx *sql.Tx) error {
			result, err := tx.ExecContext(ctx, text, args...)
			if err != nil {
				return err
			}
			n, err = result.RowsAffected()
			return err
		})
		if err == nil {
			total += n
		}
	}
	return total, err
}
