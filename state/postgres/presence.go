package postgres

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
)

const (
	// Replicas have numbers of this many bits, the highest of which is set: no row of
	// work has one that is as high. A replica holds the lock of its number by its
	// session, so that its death, or its being frozen, ends that, too.
	presenceBits = 48
	presence     = int64(1) << (presenceBits - 1)

	// alive are the numbers of the replicas that live.
	alive = `SELECT n FROM (SELECT ` + lockNumber + ` - ` + lockBase + ` AS n FROM pg_locks l WHERE ` + isLock + `) AS locked
		WHERE n >> 47 = 1`

	countAlive = `SELECT COUNT(*) FROM (` + alive + `) AS replicas`
)

// Replicas is how many processes that do work live on this state, at least one.
func (s *Store) Replicas(ctx context.Context) (n int, err error) {
	if err := s.session.db.QueryRowContext(ctx, countAlive).Scan(&n); err != nil {
		return 0, fmt.Errorf("count replicas: %w", explain(err))
	}
	return max(1, n), nil
}

// join makes the session that of a replica, if it is to be one and is none yet.
func (s *session) join(ctx context.Context) error {
	if !s.joins || s.me.Load() != 0 {
		return nil
	}
	return s.joinAs(ctx, presence|rand.Int64N(presence))
}

// joinAs takes the number n. If another replica has it the session is that of none:
// who next makes sure of the session tries another number.
func (s *session) joinAs(ctx context.Context, n int64) error {
	ctx, cancel := patient(ctx)
	defer cancel()
	var ok bool
	err := s.use(func(c *sql.Conn) error {
		if err := c.QueryRowContext(ctx, tryLock, n).Scan(&ok); err != nil || !ok {
			return err
		}
		_, err := c.ExecContext(ctx, listen)
		return err
	})
	if err != nil {
		return fmt.Errorf("join the replicas: %w", err)
	}
	if ok {
		s.me.Store(n)
	}
	return nil
}
