package sqlstore

import (
	"context"
	"database/sql"
	"maps"
	"slices"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/transship/transship/state"
)

const (
	checked = `SELECT subject, at FROM referrers_checked WHERE repo_id = ` + repoID + ` AND subject IN `

	setChecked = `ON CONFLICT (repo_id, subject) DO UPDATE SET at = excluded.at`

	subjects = `SELECT manifest, subject FROM manifest_subject WHERE repo_id = ` + repoID + ` AND manifest IN `

	setSubjects = `ON CONFLICT (repo_id, manifest) DO UPDATE SET subject = excluded.subject
		WHERE excluded.subject <> manifest_subject.subject`
)

// Checked implements state.Facts.
func (s *Store) Checked(ctx context.Context, r state.Repo, of []v1.Hash) (map[v1.Hash]time.Time, error) {
	known := make(map[v1.Hash]time.Time)
	err := chunks([]any{r.Host, r.Name}, uniqueDigests(of), digestColumn, func(list string, args []any) error {
		return s.query(ctx, "read referrer checks of "+r.String(), checked+list, args, func(rows *sql.Rows) error {
			var d v1.Hash
			var seen time.Time
			err := rows.Scan((*digest)(&d), (*moment)(&seen))
			known[d] = seen
			return err
		})
	})
	return known, err
}

// SetChecked implements state.Facts.
func (s *Store) SetChecked(ctx context.Context, r state.Repo, seen time.Time, of []v1.Hash) error {
	for chunk := range slices.Chunk(uniqueDigests(of), batch) {
		err := s.update(ctx, "record referrer checks of "+r.String(), func(tx *sql.Tx) error {
			_, id, err := repo(ctx, tx, r)
			if err != nil {
				return err
			}
			return insert(ctx, tx, "INSERT INTO referrers_checked (repo_id, subject, at)", setChecked, chunk,
				func(h v1.Hash) []any { return []any{id, sum(h), micros(seen)} })
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Subjects implements state.Facts.
func (s *Store) Subjects(ctx context.Context, r state.Repo, of []v1.Hash) (map[v1.Hash]v1.Hash, error) {
	known := make(map[v1.Hash]v1.Hash)
	err := chunks([]any{r.Host, r.Name}, uniqueDigests(of), digestColumn, func(list string, args []any) error {
		return s.query(ctx, "read subjects of "+r.String(), subjects+list, args, func(rows *sql.Rows) error {
			var manifest, subject v1.Hash
			err := rows.Scan((*digest)(&manifest), (*digest)(&subject))
			known[manifest] = subject
			return err
		})
	})
	return known, err
}

// SetSubjects implements state.Facts.
func (s *Store) SetSubjects(ctx context.Context, r state.Repo, of map[v1.Hash]v1.Hash) error {
	manifests := uniqueDigests(slices.Collect(maps.Keys(of)))
	for chunk := range slices.Chunk(manifests, batch) {
		err := s.update(ctx, "record subjects of "+r.String(), func(tx *sql.Tx) error {
			_, id, err := repo(ctx, tx, r)
			if err != nil {
				return err
			}
			return insert(ctx, tx, "INSERT INTO manifest_subject (repo_id, manifest, subject)", setSubjects, chunk,
				func(h v1.Hash) []any { return []any{id, sum(h), sum(of[h])} })
		})
		if err != nil {
			return err
		}
	}
	return nil
}
