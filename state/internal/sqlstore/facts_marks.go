package sqlstore

import (
	"context"
	"database/sql"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/transship/transship/state"
)

const (
	mark = `SELECT tags, manifests, swept FROM mark WHERE repo_id = ` + repoID + ` AND side = $3`

	setMark = `INSERT INTO mark (repo_id, side, tags, manifests, swept) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (repo_id, side) DO UPDATE SET tags = excluded.tags, manifests = excluded.manifests, swept = excluded.swept`

	referrers = `SELECT manifest, subject FROM manifest_subject WHERE repo_id = ` + repoID + ` AND LENGTH(subject) > 0`

	forgetSubjects = `DELETE FROM manifest_subject WHERE repo_id = ` + repoID + ` AND manifest IN `
)

// Mark implements state.Facts.
func (s *Store) Mark(ctx context.Context, r state.Repo, side string) (m state.Mark, err error) {
	err = s.query(ctx, "read how far "+r.String()+" is known", mark, []any{r.Host, r.Name, side}, func(rows *sql.Rows) error {
		return rows.Scan((*moment)(&m.Tags), (*moment)(&m.Manifests), (*moment)(&m.Swept))
	})
	return m, err
}

// SetMark implements state.Facts.
func (s *Store) SetMark(ctx context.Context, r state.Repo, side string, m state.Mark) error {
	return s.update(ctx, "record how far "+r.String()+" is known", func(tx *sql.Tx) error {
		_, id, err := repo(ctx, tx, r)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, setMark, id, side, micros(m.Tags), micros(m.Manifests), micros(m.Swept))
		return err
	})
}

// Referring implements state.Facts.
func (s *Store) Referring(ctx context.Context, r state.Repo) (map[v1.Hash]v1.Hash, error) {
	known := make(map[v1.Hash]v1.Hash)
	err := s.query(ctx, "read referrers of "+r.String(), referrers, []any{r.Host, r.Name}, func(rows *sql.Rows) error {
		var manifest, subject v1.Hash
		err := rows.Scan((*digest)(&manifest), (*digest)(&subject))
		known[manifest] = subject
		return err
	})
	return known, err
}

// ForgetSubjects implements state.Facts.
func (s *Store) ForgetSubjects(ctx context.Context, r state.Repo, manifests []v1.Hash) error {
	return chunks([]any{r.Host, r.Name}, uniqueDigests(manifests), digestColumn, func(list string, args []any) error {
		return s.update(ctx, "forget subjects of "+r.String(), func(tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, forgetSubjects+list, args...)
			return err
		})
	})
}
