package sqlstore

import (
	"context"
	"database/sql"
	"time"
)

// changed is work rows as they were saved, and when, by the store's clock.
type changed struct {
	now  time.Time
	rows []row
}

// due are those rows that somebody may run, now or later, and could not before, or
// only later than that.
func (c changed) due() (list []Due) {
	for _, r := range c.rows {
		at := r.dueAt()
		if at >= r.was {
			continue
		}
		d := Due{Row: r.id, Now: c.now}
		if at > micros(c.now) {
			d.Later = time.UnixMicro(at)
		}
		list = append(list, d)
	}
	return list
}

// change is update for work rows: the engine is told of those that are due after it
// in the same transaction.
func (s *Store) change(ctx context.Context, op string, do func(tx *sql.Tx) (changed, error)) error {
	if s.e.Due == nil {
		return s.update(ctx, op, func(tx *sql.Tx) error { _, err := do(tx); return err })
	}
	return s.fail(ctx, op, s.retry(func() error {
		conn, err := s.e.Write.Conn(ctx)
		if err != nil {
			return err
		}
		defer conn.Close()
		return s.within(ctx, conn, func(tx *sql.Tx) error {
			c, err := do(tx)
			if err != nil {
				return err
			}
			if due := c.due(); len(due) > 0 {
				return s.e.Due(ctx, conn, due)
			}
			return nil
		})
	}))
}
