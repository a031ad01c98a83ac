package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/transship/transship/state/internal/sqlstore"
)

const (
	// lockBase sets our advisory locks apart from those of other programs in the
	// database, and of other schemas: 16 bits of the schema's name over 48 bits of
	// row number. Number 0 is the migrations'.
	lockBase = `(CAST(hashtext('transship ' || current_schema()) & 65535 AS BIGINT) << 48)`

	tryLock = `SELECT pg_try_advisory_lock(` + lockBase + ` + $1)`
	wait    = `SELECT pg_advisory_lock(` + lockBase + `)`
	unlock  = `SELECT pg_advisory_unlock(` + lockBase + ` + $1)`

	orphans = `SELECT w.id FROM work w WHERE w.running = 1 AND NOT EXISTS (
		SELECT 1 FROM pg_locks l
		WHERE l.locktype = 'advisory' AND l.objsubid = 1 AND l.granted
			AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
			AND (CAST(l.classid AS BIGINT) << 32) | CAST(l.objid AS BIGINT) = ` + lockBase + ` + w.id)
		ORDER BY w.id`

	// sessionPatience is how long the session may be silent before it counts as
	// broken. It is not the caller's patience: to cancel a query breaks the session,
	// and with it every claim.
	sessionPatience = 30 * time.Second
)

// A session is the connection whose locks are this process's claims.
type session struct {
	db   *sql.DB
	conn *sql.Conn // nil before the first use and after a break
}

var _ sqlstore.Claims = (*session)(nil)

// Session implements sqlstore.Claims.
func (s *session) Session(ctx context.Context) (fresh bool, err error) {
	if ctx.Err() != nil {
		return false, context.Cause(ctx)
	}
	if s.conn != nil {
		alive, cancel := patient(ctx)
		defer cancel()
		if s.conn.PingContext(alive) == nil {
			return false, nil
		}
		s.drop()
	}
	if s.conn, err = s.db.Conn(ctx); err != nil {
		s.conn = nil
		return false, fmt.Errorf("open the session that holds claims: %w", err)
	}
	return true, nil
}

// Lock implements sqlstore.Claims.
func (s *session) Lock(ctx context.Context, id int64) (ok bool, err error) {
	err = s.ask(ctx, tryLock, &ok, id)
	return ok, err
}

// Unlock implements sqlstore.Claims.
func (s *session) Unlock(ctx context.Context, id int64) error {
	var held bool
	return s.ask(ctx, unlock, &held, id)
}

// Orphans implements sqlstore.Claims.
func (s *session) Orphans(ctx context.Context) (ids []int64, err error) {
	rows, err := s.db.QueryContext(ctx, orphans)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, rows.Err()
}

// alone calls do while no other process is in it.
func (s *session) alone(ctx context.Context, do func() error) error {
	if _, err := s.Session(ctx); err != nil {
		return err
	}
	// The session is new and holds nothing, so that the caller may break it off. The
	// pool's own lock_timeout would end a wait that is only long.
	if _, err := s.conn.ExecContext(ctx, "SET lock_timeout = 0"); err != nil {
		return err
	}
	if _, err := s.conn.ExecContext(ctx, wait); err != nil {
		s.drop()
		return fmt.Errorf("wait for another process that migrates the schema: %w", err)
	}
	err := do()
	return errors.Join(err, s.Unlock(context.WithoutCancel(ctx), 0))
}

var errNoSession = errors.New("the session that holds claims is broken")

func (s *session) ask(ctx context.Context, text string, answer *bool, id int64) error {
	if s.conn == nil {
		return errNoSession
	}
	ctx, cancel := patient(ctx)
	defer cancel()
	return s.conn.QueryRowContext(ctx, text, id).Scan(answer)
}

// drop lets go of a session that is broken, or may be.
func (s *session) drop() {
	// Whatever is left of it must not serve others with our locks.
	_ = s.conn.Raw(func(any) error { return errBad })
	_ = s.conn.Close()
	s.conn = nil
}

func (s *session) close() error {
	if s.conn != nil {
		s.drop()
	}
	return nil
}

func patient(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), sessionPatience)
}
