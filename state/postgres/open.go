package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/transship/transship/state"
	"github.com/transship/transship/state/internal/sqlstore"
)

// Options are all optional.
type Options struct {
	// MaxConns bounds the connections of this process, of which one holds its locks.
	// 0 is 8; fewer than 3 are taken as 3.
	MaxConns int
}

const (
	maxConns       = 8
	minConns       = 3
	connectTimeout = 15 * time.Second
	statementCache = 128 // statements a connection; lists of other lengths are others

	// A dead host is noticed within idle + interval × count, by both ends.
	keepAliveIdle     = 15 * time.Second
	keepAliveInterval = 5 * time.Second
	keepAliveCount    = 3

	sessionSettings = `SET tcp_keepalives_idle = 15; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3;
		SET idle_in_transaction_session_timeout = '60s'; SET lock_timeout = '60s'`

	clock = `SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)`
)

// A Store is the state in one schema of a database.
type Store struct {
	*sqlstore.Store
	session *session
}

// Open opens the state in the database that dsn names (a postgres:// URL or
// keywords, with libpq's environment for what it leaves out), in the first schema
// of its search path. It brings the schema up to date, one process at a time, or
// fails with [state.ErrNewer]. No error shows the password.
func Open(ctx context.Context, dsn string, o Options) (*Store, error) {
	db, err := connect(dsn, o)
	if err != nil {
		return nil, fmt.Errorf("state: %w", err)
	}
	s, err := open(ctx, db)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("state on PostgreSQL: %w", explain(err)), db.Close())
	}
	return s, nil
}

func open(ctx context.Context, db *sql.DB) (*Store, error) {
	if err := checkServer(ctx, db); err != nil {
		return nil, err
	}
	claims := newSession(db)
	err := claims.alone(ctx, func() error { return sqlstore.Migrate(ctx, db, sqlstore.PostgreSQL()) })
	if err != nil {
		return nil, errors.Join(err, claims.close())
	}
	if _, err := db.ExecContext(ctx, writable); err != nil {
		return nil, errors.Join(fmt.Errorf("see whether state can be written: %w", err), claims.close())
	}
	s, err := sqlstore.New(ctx, sqlstore.Engine{
		Dialect: sqlstore.PostgreSQL(),
		Read:    db,
		Write:   db,
		Now:     now,
		Explain: explain,
		Again:   again,
		Claims:  claims,
	})
	if err != nil {
		return nil, errors.Join(err, claims.close())
	}
	return &Store{s, claims}, nil
}

// Close gives back the claims that are held and closes all connections.
func (s *Store) Close() error { return errors.Join(s.Store.Close(), s.session.close()) }

func connect(dsn string, o Options) (*sql.DB, error) {
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		// What the parser says may quote the password.
		return nil, errors.New("the database address cannot be read (it is not shown, as it may hold a password): " +
			"want postgres://user@host:5432/database or host=… user=… dbname=…")
	}
	dialer := &net.Dialer{KeepAliveConfig: net.KeepAliveConfig{
		Enable: true, Idle: keepAliveIdle, Interval: keepAliveInterval, Count: keepAliveCount,
	}}
	config.DialFunc = dialer.DialContext
	config.StatementCacheCapacity = statementCache
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = connectTimeout
	}
	if config.RuntimeParams["application_name"] == "" {
		config.RuntimeParams["application_name"] = "transship"
	}
	width := o.MaxConns
	if width == 0 {
		width = maxConns
	}
	db := stdlib.OpenDB(*config, stdlib.OptionAfterConnect(func(ctx context.Context, c *pgx.Conn) error {
		_, err := c.Exec(ctx, sessionSettings, pgx.QueryExecModeSimpleProtocol)
		return err
	}))
	db.SetMaxOpenConns(max(minConns, width))
	db.SetMaxIdleConns(max(minConns, width))
	db.SetConnMaxIdleTime(5 * time.Minute)
	return db, nil
}

// now is the database's clock: replicas need not agree on theirs.
func now(ctx context.Context, tx *sql.Tx) (time.Time, error) {
	var us int64
	err := tx.QueryRowContext(ctx, clock).Scan(&us)
	return time.UnixMicro(us), err
}

var _ state.Store = (*Store)(nil)
