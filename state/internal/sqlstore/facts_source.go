package sqlstore

import (
	"context"
	"database/sql"
	"iter"
	"slices"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/transship/transship/state"
)

const (
	sourcePage = `SELECT name, digest, first_seen FROM source_tag
		WHERE repo_id = ` + repoID + ` AND name > $3 ORDER BY name LIMIT $4`

	// A digest that becomes known counts as new, so that a cool-down never looks at
	// the age of a name alone.
	seeSource = `ON CONFLICT (repo_id, name) DO UPDATE
		SET digest = excluded.digest, first_seen = excluded.first_seen
		WHERE LENGTH(excluded.digest) > 0 AND excluded.digest <> source_tag.digest`

	forgetSource = `DELETE FROM source_tag WHERE repo_id = ` + repoID + ` AND name IN `
)

// SourceTags implements state.Facts.
func (s *Store) SourceTags(ctx context.Context, r state.Repo) iter.Seq2[state.SourceTag, error] {
	return pages(func(after string) ([]state.SourceTag, error) {
		var page []state.SourceTag
		err := s.query(ctx, "read source tags of "+r.String(), sourcePage,
			[]any{r.Host, r.Name, after, pageSize}, func(rows *sql.Rows) error {
				var t state.SourceTag
				err := rows.Scan(&t.Name, (*digest)(&t.Digest), (*moment)(&t.FirstSeen))
				page = append(page, t)
				return err
			})
		return page, err
	}, func(t state.SourceTag) string { return t.Name })
}

// SeeSource implements state.Facts.
func (s *Store) SeeSource(ctx context.Context, r state.Repo, seen time.Time, tags []state.SourceTag) error {
	op := "record source tags of " + r.String()
	tags = unique(tags, func(t state.SourceTag) string { return t.Name }, knownDigest)
	for _, t := range tags {
		if err := checkNames(t.Name); err != nil {
			return s.fail(ctx, op, err)
		}
	}
	for chunk := range slices.Chunk(tags, batch) {
		err := s.update(ctx, op, func(tx *sql.Tx) error {
			_, id, err := repo(ctx, tx, r)
			if err != nil {
				return err
			}
			return insert(ctx, tx, "INSERT INTO source_tag (repo_id, name, digest, first_seen)", seeSource,
				chunk, func(t state.SourceTag) []any { return []any{id, t.Name, sum(t.Digest), micros(seen)} })
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func knownDigest(old, new state.SourceTag) state.SourceTag {
	if new.Digest == (v1.Hash{}) {
		return old
	}
	return new
}

// ForgetSource implements state.Facts.
func (s *Store) ForgetSource(ctx context.Context, r state.Repo, names []string) error {
	return s.byName(ctx, "forget source tags of "+r.String(), forgetSource, []any{r.Host, r.Name}, names)
}

// byName runs text, which ends in a list of names, in batches of a transaction each.
func (s *Store) byName(ctx context.Context, op, text string, fixed []any, names []string) error {
	names = slices.Compact(slices.Sorted(slices.Values(names)))
	return chunks(fixed, names, func(n string) any { return n }, func(list string, args []any) error {
		return s.update(ctx, op, func(tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, text+list, args...)
			return err
		})
	})
}
