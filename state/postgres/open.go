package postgres

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/transship/transship/state"
	"github.com/transship/transship/state/internal/sqlstore"
)

// Options are all optional.
type Options struct {
	// MaxConns bounds the connections of this process, of which one holds its locks,
	// beside the dispatcher's: four, and one that listens. 0 is 8; fewer than 3 are taken as 3.
	MaxConns int
	// Every is how often Dispatch looks for what was lost: rows that a process ran which
	// died, wake-ups that one had taken. 0 is 2 s.
	Every time.Duration
	// Logger is told of the dispatcher's own troubles; nil is nobody.
	Logger *slog.Logger
	// Replica says that this process does work: it is one of the replicas.
	Replica bool
}

const (
	maxConns       = 8
	dispatchConns  = 4 // beside them, while Dispatch runs
	minConns       = 3
	connectTimeout = 15 * time.Second
	idleTime       = 5 * time.Minute
	statementCache = 128 // statements a connection; lists of other lengths are others

	// A dead host is noticed within idle + interval × count, by both ends.
	keepAliveIdle     = 15 * time.Second
	keepAliveInterval = 5 * time.Second
	keepAliveCount    = 3

	sessionSettings = `SET tcp_keepalives_idle = 15; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3;
		SET idle_in_transaction_session_timeout = '60s'; SET lock_timeout = '60s'`

	// clock is the database's, in microseconds.
	clock    = `CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)`
	askClock = `SELECT ` + clock
)

// A Store is the state in one schema of a database.
type Store struct {
	*sqlstore.Store
	session *session
	pool    *pgxpool.Pool // of the dispatcher
	every   time.Duration
	log     *slog.Logger // for the dispatcher
	turns   *turns
}

// Open opens the state in the database that dsn names (a postgres:// URL or
// keywords, with libpq's environment for what it leaves out), in the first schema
// of its search path. It brings the schema up to date, one process at a time, or
// fails with [state.ErrNewer]. No error shows the password.
func Open(ctx context.Context, dsn string, o Options) (*Store, error) {
	config, err := configOf(dsn)
	if err != nil {
		return nil, fmt.Errorf("state: %w", err)
	}
	s := &Store{every: cmp.Or(o.Every, 2*time.Second), log: riverLog(o.Logger)}
	db := connect(config, o)
	if s.pool, err = connectDispatcher(ctx, config); err != nil {
		return nil, errors.Join(fmt.Errorf("state: %w", err), db.Close())
	}
	s.session = newSession(db)
	s.turns = newTurns(s.session)
	s.session.joins, s.session.news = o.Replica, s.turns.wake
	if err := s.open(ctx, db); err != nil {
		s.pool.Close()
		return nil, errors.Join(fmt.Errorf("state on PostgreSQL: %w", explain(err)), db.Close())
	}
	return s, nil
}

func (s *Store) open(ctx context.Context, db *sql.DB) error {
	if err := checkServer(ctx, db); err != nil {
		return err
	}
	if err := s.fill(ctx, db); err != nil {
		return errors.Join(err, s.session.close())
	}
	return nil
}

// fill brings the schema up to date and makes the store over it.
func (s *Store) fill(ctx context.Context, db *sql.DB) error {
	err := s.session.alone(ctx, func() error {
		if err := sqlstore.Migrate(ctx, db, sqlstore.PostgreSQL()); err != nil {
			return err
		}
		return migrateRiver(ctx, s.pool, s.log)
	})
	if err != nil {
		return err
	}
	if err := tryWriting(ctx, db); err != nil {
		return err
	}
	wakes, err := newWaker(s.log)
	if err != nil {
		return err
	}
	s.Store, err = sqlstore.New(ctx, sqlstore.Engine{
		Dialect: sqlstore.PostgreSQL(),
		Read:    db,
		Write:   db,
		Now:     now,
		Explain: explain,
		Again:   again,
		Claims:  s.session,
		Due:     wakes.due,
	})
	return err
}

// Close gives back the claims that are held and closes all connections.
func (s *Store) Close() error {
	s.turns.close()
	err := errors.Join(s.Store.Close(), s.session.close())
	s.pool.Close()
	return err
}

// configOf is how each connection is made.
func configOf(dsn string) (*pgx.ConnConfig, error) {
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
	return config, nil
}

// set is done to each connection that is new.
func set(ctx context.Context, c *pgx.Conn) error {
	_, err := c.Exec(ctx, sessionSettings, pgx.QueryExecModeSimpleProtocol)
	return err
}

// connectDispatcher makes the pool of the dispatcher, which makes no connection yet.
func connectDispatcher(ctx context.Context, config *pgx.ConnConfig) (*pgxpool.Pool, error) {
	c, err := pgxpool.ParseConfig("")
	if err != nil {
		return nil, err
	}
	c.ConnConfig, c.AfterConnect = config.Copy(), set
	c.MaxConns, c.MinConns, c.MaxConnIdleTime = dispatchConns, 0, idleTime
	return pgxpool.NewWithConfig(context.WithoutCancel(ctx), c)
}

func connect(config *pgx.ConnConfig, o Options) *sql.DB {
	width := o.MaxConns
	if width == 0 {
		width = maxConns
	}
	db := stdlib.OpenDB(*config, stdlib.OptionAfterConnect(set))
	db.SetMaxOpenConns(max(minConns, width))
	db.SetMaxIdleConns(max(minConns, width))
	db.SetConnMaxIdleTime(idleTime)
	return db
}

// now is the database's clock: replicas need not agree on theirs.
func now(ctx context.Context, tx *sql.Tx) (time.Time, error) {
	var us int64
	err := tx.QueryRowContext(ctx, askClock).Scan(&us)
	return time.UnixMicro(us), err
}

var _ state.Store = (*Store)(nil)
