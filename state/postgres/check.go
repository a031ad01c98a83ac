package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

const (
	backend = `SELECT pg_backend_pid(), pg_is_in_recovery(), current_schema() IS NOT NULL,
		current_setting('transaction_read_only') = 'on',
		COALESCE(has_schema_privilege(current_schema(), 'CREATE'), true) OR to_regclass('work') IS NOT NULL`

	remedy = "; give it a direct address, or a pool in session mode"
)

// errPooled says why a pooler in between cannot work.
var errPooled = errors.New("a pooler between here and the server gives each transaction another session " +
	"(PgBouncer in transaction mode?), and work is locked by session" + remedy)

// checkServer finds out whether sessions are what they seem, and can be written in.
//
// One connection asks who serves it; another then holds a transaction open. A
// pooler gives it the server that has just become free, which is the first one's.
func checkServer(ctx context.Context, db *sql.DB) error {
	first, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer first.Close()
	second, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer second.Close()

	before, err := serves(ctx, first)
	if err != nil {
		return err
	}
	if _, err := second.ExecContext(ctx, "BEGIN", pgx.QueryExecModeSimpleProtocol); err != nil {
		return err
	}
	defer second.ExecContext(context.WithoutCancel(ctx), "ROLLBACK", pgx.QueryExecModeSimpleProtocol)
	other, err := serves(ctx, second)
	if err != nil {
		return err
	}
	if other == before {
		return errPooled
	}
	after, err := serves(ctx, first)
	if err != nil {
		return err
	}
	if after != before {
		return errPooled
	}
	return nil
}

// serves returns the process that serves c.
func serves(ctx context.Context, c *sql.Conn) (pid int, err error) {
	var standby, schema, readOnly, create bool
	// The simple protocol, as prepared statements may not survive a pooler.
	err = c.QueryRowContext(ctx, backend, pgx.QueryExecModeSimpleProtocol).Scan(&pid, &standby, &schema, &readOnly, &create)
	switch {
	case err != nil:
		return 0, fmt.Errorf("ask the server who it is: %w", err)
	case standby:
		return 0, errors.New("the server is a standby and cannot be written to; give the address of the primary")
	case !schema:
		return 0, errors.New("no schema of the search path exists; create it, or set search_path in the address")
	case readOnly:
		return 0, errors.New("transactions of this user are read-only; unset default_transaction_read_only, or give another user")
	case !create:
		return 0, errors.New("permission denied: the user must be allowed to create tables in the schema; GRANT CREATE ON SCHEMA, or give another user")
	}
	return pid, nil
}

// tryWriting fails where rows of ours or of the dispatcher cannot be changed, and
// changes none.
func tryWriting(ctx context.Context, db *sql.DB) error {
	for _, text := range []string{`DELETE FROM work WHERE false`, `DELETE FROM river_job WHERE false`} {
		if _, err := db.ExecContext(ctx, text); err != nil {
			return fmt.Errorf("see whether state can be written: %w", err)
		}
	}
	return nil
}
