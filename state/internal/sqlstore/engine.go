package sqlstore

import (
	"context"
	"database/sql"
	"time"
)

// An Engine is what differs between the databases.
type Engine struct {
	Dialect Dialect
	Read    *sql.DB // for queries; may be the same as Write
	Write   *sql.DB // for transactions and migrations
	// Now reads the clock that work goes by.
	Now func(ctx context.Context, tx *sql.Tx) (time.Time, error)
	// Explain wraps what the driver says into the errors of package state, as far
	// as it knows them.
	Explain func(error) error
	// Again tells whether a transaction that failed with err may succeed when it is
	// simply run again (a deadlock, a lost serialization race).
	Again func(err error) bool
	// Claims arbitrates between processes that share the database; nil where there
	// is only one.
	Claims Claims
	// Due is told, in the transaction that makes them so and over the connection that
	// it runs on, of the rows that are due now or at a time to come. What it says by
	// an error is not done. nil where the rows are looked at instead.
	Due func(ctx context.Context, c *sql.Conn, due []Due) error
	// ReadOnly leaves the database as it is: no migrations, no cleaning up.
	ReadOnly bool
}

// A Due is a work row that waits for somebody to run it.
type Due struct {
	Row   int64
	Now   time.Time
	Later time.Time // when it is due; zero is now
}

// Claims is the mutual exclusion of processes over work rows. The locks belong to
// a session and go with it, as when the process dies. The store calls it from one
// goroutine at a time and locks no row twice.
type Claims interface {
	// Session makes sure that the session lives. It reports whether it is another
	// than the last time, or was lost with an error: then all locks were lost.
	Session(ctx context.Context) (fresh bool, err error)
	// Broke is signalled when the session broke while it was not used.
	Broke() <-chan struct{}
	// Lock tries to lock the row and reports whether it now holds it.
	Lock(ctx context.Context, id int64) (bool, error)
	// Unlock gives the lock back.
	Unlock(ctx context.Context, id int64) error
	// Orphans returns those running rows that nobody has locked.
	Orphans(ctx context.Context) ([]int64, error)
}
