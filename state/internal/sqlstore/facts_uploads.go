package sqlstore

import (
	"context"
	"database/sql"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/transship/transship/state"
)

const (
	uploads = `SELECT r.name, u.digest, u.location, u.committed, u.started
		FROM upload u JOIN repo r ON r.id = u.repo_id
		WHERE u.host_id = ` + hostID + ` ORDER BY r.name, u.digest`

	saveUpload = `INSERT INTO upload (host_id, repo_id, digest, location, committed, started)
		VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (host_id, repo_id, digest) DO UPDATE
		SET location = excluded.location, committed = excluded.committed, started = excluded.started`

	dropUpload = `DELETE FROM upload WHERE host_id = ` + hostID + ` AND repo_id = ` + repoID + ` AND digest = $3`
)

// Uploads implements state.Facts, sorted by repository and digest.
func (s *Store) Uploads(ctx context.Context, of string) ([]state.Upload, error) {
	var all []state.Upload
	err := s.query(ctx, "read open uploads of "+of, uploads, []any{of}, func(rows *sql.Rows) error {
		u := state.Upload{Repo: state.Repo{Host: of}}
		err := rows.Scan(&u.Repo.Name, (*digest)(&u.Digest), &u.Location, &u.Committed, (*moment)(&u.Started))
		all = append(all, u)
		return err
	})
	return all, err
}

// SaveUpload implements state.Facts.
func (s *Store) SaveUpload(ctx context.Context, u state.Upload) error {
	return s.update(ctx, "record an open upload to "+u.Repo.String(), func(tx *sql.Tx) error {
		host, id, err := repo(ctx, tx, u.Repo)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, saveUpload, host, id, sum(u.Digest), u.Location, u.Committed, micros(u.Started))
		return err
	})
}

// DropUpload implements state.Facts.
func (s *Store) DropUpload(ctx context.Context, r state.Repo, d v1.Hash) error {
	return s.update(ctx, "forget an upload to "+r.String(), func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, dropUpload, r.Host, r.Name, sum(d))
		return err
	})
}
