package sqlstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"slices"
	"time"

	"github.com/transship/transship/state"
)

const (
	beginJobsPass = `INSERT INTO pass (rule, cause, started, outcome, jobs) VALUES ($1, $2, $3, $4, $5) RETURNING id`

	insertPassJobs = `INSERT INTO pass_job (key, pass_id, at)`

	// waitingPasses are locked in the order of their numbers.
	waitingPasses = `UPDATE pass SET ran = ran + 1 WHERE id IN
		(SELECT pass_id FROM pass_job WHERE key = $1 AND at <= $2)
		RETURNING id, rule, error, figures, jobs, ran, failed, partly, stopped, cause, started`

	dropPassJobs = `DELETE FROM pass_job WHERE key = $1 AND at <= $2`

	tellPass = `UPDATE pass SET error = $2, figures = $3, failed = $4, partly = $5, stopped = $6, ended = $7, outcome = $8 WHERE id = $1`
)

// BeginJobs implements state.History.
func (s *Store) BeginJobs(ctx context.Context, p state.Pass, keys []string) (id int64, err error) {
	keys = slices.Compact(slices.Sorted(slices.Values(keys)))
	err = s.update(ctx, "record the begin of a pass", func(tx *sql.Tx) error {
		if err := checkNames(append(slices.Clone(keys), p.Rule)...); err != nil {
			return err
		}
		now, err := s.e.Now(ctx, tx)
		if err != nil {
			return err
		}
		err = tx.QueryRowContext(ctx, beginJobsPass, p.Rule, prose(p.Trigger), micros(p.Started),
			string(state.Running), len(keys)).Scan(&id)
		if err != nil {
			return err
		}
		if len(keys) == 0 {
			t := told{id: id}
			return t.save(ctx, tx, p.Started)
		}
		return insert(ctx, tx, insertPassJobs, "", keys, func(k string) []any { return []any{k, id, micros(now)} })
	})
	return id, err
}

// EndJob implements state.History.
func (s *Store) EndJob(ctx context.Context, r state.JobRun) (ended []state.Pass, err error) {
	err = s.update(ctx, "record the end of "+r.Key, func(tx *sql.Tx) error {
		ended, err = endJob(ctx, tx, r)
		return err
	})
	return ended, err
}

func endJob(ctx context.Context, tx *sql.Tx, r state.JobRun) (ended []state.Pass, err error) {
	waiting, err := passesOf(ctx, tx, r)
	if err != nil || len(waiting) == 0 {
		return nil, err
	}
	if _, err := tx.ExecContext(ctx, dropPassJobs, r.Key, micros(r.Taken)); err != nil {
		return nil, err
	}
	counted := map[string]bool{} // rules whose newest pass has the figures
	for _, t := range slices.Backward(waiting) {
		if !counted[t.rule] {
			t.figures.Add(r.Figures[t.rule])
		}
		counted[t.rule] = true
		t.add(r)
		if err := t.save(ctx, tx, r.Ended); err != nil {
			return nil, err
		}
		if outcome := t.outcome(); outcome != state.Running {
			ended = append(ended, state.Pass{ID: t.id, Rule: t.rule, Trigger: t.cause, Started: t.started, Ended: r.Ended,
				Outcome: outcome, Jobs: t.jobs, Ran: t.ran})
		}
	}
	slices.Reverse(ended)
	return ended, nil
}

// A told pass is one of jobs, and what has been told of them.
type told struct {
	id                      int64
	rule, failure, cause    string
	started                 time.Time
	figures                 state.Figures
	jobs, ran               int64
	failed, partly, stopped int64
}

// passesOf returns the passes that wait for r, the oldest first.
func passesOf(ctx context.Context, tx *sql.Tx, r state.JobRun) (list []told, err error) {
	err = each(ctx, tx, waitingPasses, []any{r.Key, micros(r.Taken)}, func(rows *sql.Rows) error {
		var t told
		var figures []byte
		err := rows.Scan(&t.id, &t.rule, &t.failure, &figures, &t.jobs, &t.ran, &t.failed, &t.partly, &t.stopped,
			&t.cause, (*moment)(&t.started))
		if err == nil {
			err = json.Unmarshal(figures, &t.figures)
		}
		list = append(list, t)
		return err
	})
	slices.SortFunc(list, func(a, b told) int { return int(a.id - b.id) })
	return list, err
}

func (t *told) add(r state.JobRun) {
	switch r.Outcome {
	case state.FailedWhole:
		t.failed++
		t.failure = prose(r.Error)
	case state.Partly:
		t.partly++
	case state.Interrupted:
		t.stopped++
	}
}

// outcome is that of a pass whose jobs have all been told of.
func (t *told) outcome() state.Outcome {
	switch {
	case t.ran < t.jobs:
		return state.Running
	case t.stopped > 0:
		return state.Interrupted
	case t.failed > 0 && t.failed == t.jobs:
		return state.FailedWhole
	case t.failed+t.partly > 0:
		return state.Partly
	case t.figures.Waiting > 0:
		return state.Waited
	}
	return state.Succeeded
}

func (t *told) save(ctx context.Context, tx *sql.Tx, at time.Time) error {
	figures, err := json.Marshal(t.figures)
	if err != nil {
		return err
	}
	outcome := t.outcome()
	if outcome == state.Running {
		at = time.Time{}
	}
	_, err = tx.ExecContext(ctx, tellPass, t.id, t.failure, string(figures), t.failed, t.partly, t.stopped, micros(at), string(outcome))
	return err
}
