package postgres

import (
	"database/sql/driver"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/transship/transship/state"
)

// errBad makes database/sql throw a connection away.
var errBad = driver.ErrBadConn

// explain maps SQLSTATE codes to the errors of package state.
func explain(err error) error {
	switch code(err) {
	case "53100": // disk_full
		return fmt.Errorf("%w: %w", state.ErrFull, err)
	case "XX001", "XX002": // data_corrupted, index_corrupted
		return fmt.Errorf("%w: %w", state.ErrDamaged, err)
	case "25006": // read_only_sql_transaction
		return fmt.Errorf("%w; is it a standby now? give the address of the primary, or unset default_transaction_read_only", err)
	case "42501": // insufficient_privilege
		if _, connecting := errors.AsType[*pgconn.ConnectError](err); connecting {
			return fmt.Errorf("%w; GRANT CONNECT ON DATABASE to the user, or give another one", err)
		}
		return fmt.Errorf("%w; the user must own transship's tables, and be allowed to create tables in the schema", err)
	}
	return err
}

// again tells lost races from faults: serialization_failure, deadlock_detected.
func again(err error) bool {
	c := code(err)
	return c == "40001" || c == "40P01"
}

func code(err error) string {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}
