package sqlstore

import (
	"context"
	"database/sql"
	"errors"

	"github.com/transship/transship/state"
)

// repoID is the number of the repository ($1 host, $2 name), or NULL.
const repoID = `(SELECT r.id FROM repo r JOIN host h ON h.id = r.host_id WHERE h.name = $1 AND r.name = $2)`

// hostID is the number of the host $1, or NULL.
const hostID = `(SELECT id FROM host WHERE name = $1)`

// host returns the number of a host, which it makes known if it is new.
func host(ctx context.Context, tx *sql.Tx, name string) (int64, error) {
	if err := checkNames(name); err != nil {
		return 0, err
	}
	return number(ctx, tx, `SELECT id FROM host WHERE name = $1`,
		`INSERT INTO host (name) VALUES ($1) ON CONFLICT (name) DO NOTHING`, name)
}

// repo returns the numbers of a repository and its host, which it makes known if
// they are new. Numbers grow in the order in which repositories came to be known.
func repo(ctx context.Context, tx *sql.Tx, r state.Repo) (hostID, id int64, err error) {
	if err = checkNames(r.Name); err != nil {
		return 0, 0, err
	}
	if hostID, err = host(ctx, tx, r.Host); err != nil {
		return 0, 0, err
	}
	id, err = number(ctx, tx, `SELECT id FROM repo WHERE host_id = $1 AND name = $2`,
		`INSERT INTO repo (host_id, name) VALUES ($1, $2) ON CONFLICT (host_id, name) DO NOTHING`, hostID, r.Name)
	return hostID, id, err
}

func number(ctx context.Context, tx *sql.Tx, find, add string, args ...any) (id int64, err error) {
	err = tx.QueryRowContext(ctx, find, args...).Scan(&id)
	if !errors.Is(err, sql.ErrNoRows) {
		return id, err
	}
	if _, err := tx.ExecContext(ctx, add, args...); err != nil {
		return 0, err
	}
	err = tx.QueryRowContext(ctx, find, args...).Scan(&id)
	return id, err
}
