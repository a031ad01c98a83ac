package sqlstore

import (
	"context"
	"database/sql"
	"iter"
	"time"

	"github.com/transship/transship/state"
)

const (
	targetColumns = `name, rule, source, selection, digest, put_at, verified_at, restored_at, restored`

	targetPage = `SELECT ` + targetColumns + ` FROM target_tag
		WHERE repo_id = ` + repoID + ` AND name > $3 ORDER BY name LIMIT $4`

	putTags = `ON CONFLICT (repo_id, name) DO UPDATE SET
		rule = excluded.rule, source = excluded.source, selection = excluded.selection,
		digest = excluded.digest, put_at = excluded.put_at, verified_at = excluded.verified_at,
		restored_at = excluded.restored_at, restored = excluded.restored`

	verifyTags = `UPDATE target_tag SET verified_at = $3 WHERE repo_id = ` + repoID + ` AND name IN `
	forgetTags = `DELETE FROM target_tag WHERE repo_id = ` + repoID + ` AND name IN `
)

// TargetTags implements state.Facts.
func (s *Store) TargetTags(ctx context.Context, r state.Repo) iter.Seq2[state.TargetTag, error] {
	return pages(func(after string) ([]state.TargetTag, error) {
		var page []state.TargetTag
		err := s.query(ctx, "read target tags of "+r.String(), targetPage,
			[]any{r.Host, r.Name, after, pageSize}, func(rows *sql.Rows) error {
				var t state.TargetTag
				err := rows.Scan(&t.Name, &t.Rule, (*digest)(&t.Source), &t.Selection, (*digest)(&t.Digest),
					(*moment)(&t.PutAt), (*moment)(&t.VerifiedAt), (*moment)(&t.RestoredAt), (*digest)(&t.Restored))
				page = append(page, t)
				return err
			})
		return page, err
	}, func(t state.TargetTag) string { return t.Name })
}

// Put implements state.Facts.
func (s *Store) Put(ctx context.Context, r state.Record) error {
	tags := unique(r.Tags, func(t state.TargetTag) string { return t.Name }, last)
	present := uniquePresent(r.Present)
	return s.update(ctx, "record what was put into "+r.Repo.String(), func(tx *sql.Tx) error {
		host, id, err := repo(ctx, tx, r.Repo)
		if err != nil {
			return err
		}
		if err := putTarget(ctx, tx, id, tags); err != nil {
			return err
		}
		return putPresent(ctx, tx, host, id, present)
	})
}

func putTarget(ctx context.Context, tx *sql.Tx, repo int64, tags []state.TargetTag) error {
	for _, t := range tags {
		if err := checkNames(t.Name); err != nil {
			return err
		}
	}
	return insert(ctx, tx, `INSERT INTO target_tag (repo_id, `+targetColumns+`)`, putTags, tags,
		func(t state.TargetTag) []any {
			return []any{repo, t.Name, t.Rule, sum(t.Source), t.Selection, sum(t.Digest),
				micros(t.PutAt), micros(t.VerifiedAt), micros(t.RestoredAt), sum(t.Restored)}
		})
}

// Verified implements state.Facts.
func (s *Store) Verified(ctx context.Context, r state.Repo, seen time.Time, names []string) error {
	return s.byName(ctx, "record verified tags of "+r.String(), verifyTags,
		[]any{r.Host, r.Name, micros(seen)}, names)
}

// ForgetTags implements state.Facts.
func (s *Store) ForgetTags(ctx context.Context, r state.Repo, names []string) error {
	return s.byName(ctx, "forget target tags of "+r.String(), forgetTags, []any{r.Host, r.Name}, names)
}
