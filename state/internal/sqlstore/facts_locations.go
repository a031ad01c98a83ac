package sqlstore

import (
	"context"
	"database/sql"
	"math"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/transship/transship/state"
)

const (
	addBlobs = `ON CONFLICT (digest) DO UPDATE SET size = excluded.size
		WHERE excluded.size > 0 AND excluded.size <> blob.size`

	addLocations = `INSERT INTO location (blob_id, host_id, repo_id)
		SELECT id, CAST($1 AS BIGINT), CAST($2 AS BIGINT) FROM blob
		WHERE digest IN %s ORDER BY id ON CONFLICT (blob_id, host_id, repo_id) DO NOTHING`

	// The bound is the repository that was known limit-th, so that a base layer in
	// ten thousand repositories costs limit rows and not ten thousand.
	locate = `SELECT b.digest, r.name FROM blob b
		JOIN location l ON l.blob_id = b.id AND l.host_id = ` + hostID + `
			AND l.repo_id <= COALESCE((SELECT x.repo_id FROM location x
				WHERE x.blob_id = b.id AND x.host_id = ` + hostID + `
				ORDER BY x.repo_id LIMIT 1 OFFSET $2), $3)
		JOIN repo r ON r.id = l.repo_id
		WHERE b.digest IN `

	has = `SELECT b.digest FROM blob b
		JOIN location l ON l.blob_id = b.id AND l.host_id = ` + hostID + ` AND l.repo_id = ` + repoID + `
		WHERE b.digest IN `

	forget = `DELETE FROM location WHERE host_id = ` + hostID + ` AND repo_id = ` + repoID + `
		AND blob_id IN (SELECT id FROM blob WHERE digest IN %s)`
)

func digestColumn(h v1.Hash) any { return sum(h) }

// uniqueDigests sorts by column, so that writers lock rows in one order.
func uniqueDigests(digests []v1.Hash) []v1.Hash {
	return unique(digests, func(h v1.Hash) string { return string(sum(h)) }, last)
}

func uniquePresent(present []state.Present) []state.Present {
	return unique(present, func(p state.Present) string { return string(sum(p.Digest)) },
		func(old, new state.Present) state.Present {
			new.Size = max(old.Size, new.Size)
			return new
		})
}

// putPresent expects present sorted and without doubles.
func putPresent(ctx context.Context, tx *sql.Tx, host, repo int64, present []state.Present) error {
	err := insert(ctx, tx, "INSERT INTO blob (digest, size)", addBlobs, present,
		func(p state.Present) []any { return []any{sum(p.Digest), p.Size} })
	if err != nil {
		return err
	}
	column := func(p state.Present) any { return sum(p.Digest) }
	return chunks([]any{host, repo}, present, column, func(list string, args []any) error {
		_, err := tx.ExecContext(ctx, fill(addLocations, list), args...)
		return err
	})
}

// Locate implements state.Facts. Of more than limit repositories those are
// returned that have been known longest, so that the choice is stable.
func (s *Store) Locate(ctx context.Context, host string, digests []v1.Hash, limit int) (map[v1.Hash][]string, error) {
	nth := int64(limit - 1)
	if limit <= 0 {
		nth = math.MaxInt64
	}
	found := make(map[v1.Hash][]string)
	err := chunks([]any{host, nth, int64(math.MaxInt64)}, uniqueDigests(digests), digestColumn,
		func(list string, args []any) error {
			return s.query(ctx, "locate blobs at "+host, locate+list, args, func(rows *sql.Rows) error {
				var d v1.Hash
				var name string
				err := rows.Scan((*digest)(&d), &name)
				found[d] = append(found[d], name)
				return err
			})
		})
	if err != nil {
		return nil, err
	}
	for _, names := range found {
		slices.Sort(names)
	}
	return found, nil
}

// Has implements state.Facts.
func (s *Store) Has(ctx context.Context, r state.Repo, digests []v1.Hash) (map[v1.Hash]bool, error) {
	held := make(map[v1.Hash]bool)
	err := chunks([]any{r.Host, r.Name}, uniqueDigests(digests), digestColumn,
		func(list string, args []any) error {
			return s.query(ctx, "look up what "+r.String()+" has", has+list, args, func(rows *sql.Rows) error {
				var d v1.Hash
				err := rows.Scan((*digest)(&d))
				held[d] = true
				return err
			})
		})
	if err != nil {
		return nil, err
	}
	return held, nil
}

// Forget implements state.Facts.
func (s *Store) Forget(ctx context.Context, r state.Repo, digests []v1.Hash) error {
	return chunks([]any{r.Host, r.Name}, uniqueDigests(digests), digestColumn,
		func(list string, args []any) error {
			return s.update(ctx, "forget what "+r.String()+" has", func(tx *sql.Tx) error {
				_, err := tx.ExecContext(ctx, fill(forget, list), args...)
				return err
			})
		})
}
