package sqlstore

import (
	"context"
	"database/sql"
	"time"

	"github.com/transship/transship/state"
)

const (
	learned = `SELECT capability, yes FROM learned WHERE host_id = ` + hostID + ` AND at > $2`

	learn = `INSERT INTO learned (host_id, capability, yes, at) VALUES ($1, $2, $3, $4)
		ON CONFLICT (host_id, capability) DO UPDATE SET yes = excluded.yes, at = excluded.at`

	refusals = `SELECT from_name, to_name, until FROM refusal
		WHERE host_id = ` + hostID + ` AND until > $2 ORDER BY from_name, to_name`

	refuse = `INSERT INTO refusal (host_id, from_name, to_name, until) VALUES ($1, $2, $3, $4)
		ON CONFLICT (host_id, from_name, to_name) DO UPDATE SET until = excluded.until`
)

// Learned implements state.Facts.
func (s *Store) Learned(ctx context.Context, of string, since time.Time) (map[string]bool, error) {
	known := make(map[string]bool)
	err := s.query(ctx, "read what is learned of "+of, learned, []any{of, micros(since)}, func(rows *sql.Rows) error {
		var name string
		var yes flag
		err := rows.Scan(&name, &yes)
		known[name] = bool(yes)
		return err
	})
	return known, err
}

// Learn implements state.Facts.
func (s *Store) Learn(ctx context.Context, of, capability string, yes bool, when time.Time) error {
	return s.ofHost(ctx, "record what is learned of "+of, of, func(tx *sql.Tx, id int64) error {
		if err := checkNames(capability); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, learn, id, capability, bit(yes), micros(when))
		return err
	})
}

// Refusals implements state.Facts, sorted by both names.
func (s *Store) Refusals(ctx context.Context, of string, when time.Time) ([]state.Refusal, error) {
	var all []state.Refusal
	err := s.query(ctx, "read refused mounts of "+of, refusals, []any{of, micros(when)}, func(rows *sql.Rows) error {
		var r state.Refusal
		err := rows.Scan(&r.From, &r.To, (*moment)(&r.Until))
		all = append(all, r)
		return err
	})
	return all, err
}

// Refuse implements state.Facts.
func (s *Store) Refuse(ctx context.Context, of string, r state.Refusal) error {
	return s.ofHost(ctx, "record a refused mount of "+of, of, func(tx *sql.Tx, id int64) error {
		if err := checkNames(r.From, r.To); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, refuse, id, r.From, r.To, micros(r.Until))
		return err
	})
}

func (s *Store) ofHost(ctx context.Context, op, name string, do func(tx *sql.Tx, id int64) error) error {
	return s.update(ctx, op, func(tx *sql.Tx) error {
		id, err := host(ctx, tx, name)
		if err != nil {
			return err
		}
		return do(tx, id)
	})
}
