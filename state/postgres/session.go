package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/transship/transship/state/internal/sqlstore"
)

const (
	// lockBase sets our advisory locks apart from those of other programs in the
	// database, and of other schemas: 16 bits of the schema's name over 48 bits of
	// row number. Number 0 is the migrations'.
	lockBase   = `(CAST(` + lockSchema + ` AS BIGINT) << 48)`
	lockSchema = `(hashtext('transship ' || current_schema()) & 65535)`

	// isLock is true of those rows l of pg_locks that are advisory locks of one number,
	// lockNumber, which somebody holds in this database.
	isLock = `l.locktype = 'advisory' AND l.objsubid = 1 AND l.granted
		AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())`
	lockNumber = `((CAST(l.classid AS BIGINT) << 32) | CAST(l.objid AS BIGINT))`

	tryLock = `SELECT pg_try_advisory_lock(` + lockBase + ` + $1)`
	wait    = `SELECT pg_advisory_lock(` + lockBase + `)`
	unlock  = `SELECT pg_advisory_unlock(` + lockBase + ` + $1)`

	orphans = `SELECT w.id FROM work w WHERE w.running = 1 AND NOT EXISTS (
		SELECT 1 FROM pg_locks l WHERE ` + isLock + ` AND ` + lockNumber + ` = ` + lockBase + ` + w.id)
		ORDER BY w.id`

	// frozen ends the sessions of processes that live and do nothing: one that works
	// asks something every few seconds. Its locks are free then, and what it does when
	// it wakes is refused.
	frozen = `SELECT COUNT(pg_terminate_backend(a.pid)) FROM pg_stat_activity a
		WHERE a.datname = current_database() AND a.usename = current_user AND a.pid <> pg_backend_pid()
			AND a.state = 'idle' AND a.state_change < clock_timestamp() - $1 * INTERVAL '1 microsecond'
			AND EXISTS (SELECT 1 FROM pg_locks l WHERE ` + isLock + ` AND l.pid = a.pid
				AND CAST(l.classid AS BIGINT) >> 16 = ` + lockSchema + `)`

	// frozenAfter is for how long one may ask nothing, and sweepEvery how often one
	// looks for such.
	frozenAfter = 45 * time.Second
	sweepEvery  = 5 * time.Second

	// sessionPatience is how long the session may be silent before it counts as
	// broken. It is not the caller's patience: to cancel a query breaks the session,
	// and with it every claim.
	sessionPatience = 30 * time.Second
)

// A session is the connection whose locks are this process's claims.
type session struct {
	db   *sql.DB
	conn *sql.Conn // nil before the first use and after a break

	broke   chan struct{} // has one when conn broke while nobody used it
	unwatch func()        // ends the watch of conn, nil if there is none

	after time.Duration // frozenAfter, but for tests
	swept time.Time     // when frozen processes were last looked for

	joins bool              // this process is to be one of the replicas
	me    atomic.Int64      // its number among them by this session, 0 if it has none
	news  func(text string) // told of what comes by channel; may be nil
}

func newSession(db *sql.DB) *session {
	return &session{db: db, broke: make(chan struct{}, 1), after: frozenAfter}
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
		if s.use(func(c *sql.Conn) error { return c.PingContext(alive) }) == nil {
			return false, s.join(ctx)
		}
		s.drop()
		fresh = true
	}
	if s.conn, err = s.db.Conn(ctx); err != nil {
		s.conn = nil
		return fresh, fmt.Errorf("open the session that holds claims: %w", err)
	}
	s.watch()
	return true, s.join(ctx)
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
	if err := s.sweep(ctx); err != nil {
		return nil, err
	}
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

// sweep ends the sessions of frozen processes, now and then.
func (s *session) sweep(ctx context.Context) error {
	if time.Since(s.swept) < sweepEvery {
		return nil
	}
	s.swept = time.Now()
	var ended int64
	if err := s.db.QueryRowContext(ctx, frozen, s.after.Microseconds()).Scan(&ended); err != nil {
		return fmt.Errorf("look for processes that are frozen: %w", err)
	}
	return nil
}

// alone calls do while no other process is in it.
func (s *session) alone(ctx context.Context, do func() error) error {
	if _, err := s.Session(ctx); err != nil {
		return err
	}
	// The session is new and holds nothing, so that the caller may break it off. The
	// pool's own lock_timeout would end a wait that is only long.
	err := s.use(func(c *sql.Conn) error {
		if _, err := c.ExecContext(ctx, "SET lock_timeout = 0"); err != nil {
			return err
		}
		_, err := c.ExecContext(ctx, wait)
		return err
	})
	if err != nil {
		s.drop()
		return fmt.Errorf("wait for another process that migrates the schema: %w", err)
	}
	err = do()
	return errors.Join(err, s.Unlock(context.WithoutCancel(ctx), 0))
}

var errNoSession = errors.New("the session that holds claims is broken")

func (s *session) ask(ctx context.Context, text string, answer *bool, id int64) error {
	ctx, cancel := patient(ctx)
	defer cancel()
	return s.use(func(c *sql.Conn) error { return c.QueryRowContext(ctx, text, id).Scan(answer) })
}

// drop lets go of a session that is broken, or may be.
func (s *session) drop() {
	s.me.Store(0)
	s.unwatch()
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
