package postgres

import (
	"context"
	"database/sql"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

// Broke implements sqlstore.Claims.
func (s *session) Broke() <-chan struct{} { return s.broke }

// use lends out the connection, which is watched whenever it is not lent.
func (s *session) use(do func(*sql.Conn) error) error {
	if s.conn == nil {
		return errNoSession
	}
	s.unwatch()
	defer s.watch()
	return do(s.conn)
}

// watch starts to listen on the connection, so that its end is seen at once and not
// when it is next used: others see it at once, too, and take what this process still
// runs.
func (s *session) watch() {
	ctx, cancel := context.WithCancel(context.Background())
	conn, done := s.conn, make(chan struct{})
	go func() {
		defer close(done)
		if s.broken(ctx, conn) {
			s.me.Store(0)
			select {
			case s.broke <- struct{}{}:
			default: // one is enough
			}
		}
	}()
	s.unwatch = func() { cancel(); <-done }
}

// broken passes on what comes until c breaks, or ctx ends, which leaves it as it was.
func (s *session) broken(ctx context.Context, c *sql.Conn) bool {
	for ctx.Err() == nil {
		var n *pgconn.Notification
		var end error
		err := c.Raw(func(driver any) error {
			n, end = driver.(*stdlib.Conn).Conn().WaitForNotification(ctx)
			return nil
		})
		if n != nil && s.news != nil {
			s.news(n.Payload)
		}
		if ctx.Err() == nil && (err != nil || end != nil) {
			return true
		}
	}
	return false
}
