package sqlstore

import (
	"context"
	"database/sql"
	"slices"
	"time"

	"github.com/transship/transship/state"
)

const (
	setStanding = `INSERT INTO standing (rule, source_id, target_id, surveyed, pending, in_step, behind,
			failed, conflict, refused, cooling, gone, complete)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
		ON CONFLICT (rule, source_id, target_id) DO UPDATE SET
			surveyed = excluded.surveyed, pending = excluded.pending, in_step = excluded.in_step,
			behind = excluded.behind, failed = excluded.failed, conflict = excluded.conflict,
			refused = excluded.refused, cooling = excluded.cooling, gone = excluded.gone,
			complete = excluded.complete`

	standings = `SELECT s.rule, a.host, a.name, b.host, b.name, s.surveyed, s.pending, s.in_step, s.behind,
			s.failed, s.conflict, s.refused, s.cooling, s.gone, s.complete
		FROM standing s
		JOIN (` + namedRepos + `) a ON a.id = s.source_id
		JOIN (` + namedRepos + `) b ON b.id = s.target_id`
	allStandings  = standings + ` ORDER BY s.rule, b.host, b.name, a.host, a.name`
	ruleStandings = standings + ` WHERE s.rule = $1 ORDER BY s.rule, b.host, b.name, a.host, a.name`

	namedRepos = `SELECT r.id, h.name AS host, r.name AS name FROM repo r JOIN host h ON h.id = r.host_id`

	dropStanding = `DELETE FROM standing WHERE rule = $1 AND source_id = $2 AND target_id = $3`

	itemsSince = `SELECT tag, kind, since FROM item WHERE rule = $1 AND source_id = $2 AND target_id = $3`
	dropItems  = `DELETE FROM item WHERE rule = $1 AND source_id = $2 AND target_id = $3`
	addItems   = `INSERT INTO item (rule, source_id, target_id, tag, kind, reason, hint, since)`

	items = `SELECT i.rule, b.host, b.name, i.tag, i.kind, i.reason, i.hint, i.since
		FROM item i JOIN (` + namedRepos + `) b ON b.id = i.target_id`
	allItems  = items + ` ORDER BY i.rule, b.host, b.name, i.tag, i.kind, i.source_id LIMIT $1`
	ruleItems = items + ` WHERE i.rule = $2 ORDER BY i.rule, b.host, b.name, i.tag, i.kind, i.source_id LIMIT $1`
)

// An itemKey names an item within its standing.
type itemKey struct{ tag, kind string }

// SetStanding implements state.History, in one transaction. Rule and target of the
// items are those of st. An item that is new is as old as its Since says, or else
// as the survey.
func (s *Store) SetStanding(ctx context.Context, st state.Standing, list []state.Item) error {
	list = unique(list, func(i state.Item) string { return i.Tag + "\x00" + i.Kind }, last)
	return s.update(ctx, "record the standing of "+st.Target.String(), func(tx *sql.Tx) error {
		if err := checkNames(st.Rule); err != nil {
			return err
		}
		_, source, err := repo(ctx, tx, st.Source)
		if err != nil {
			return err
		}
		_, target, err := repo(ctx, tx, st.Target)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, setStanding, st.Rule, source, target, micros(st.Surveyed), micros(st.Pending),
			st.InStep, st.Behind, st.Failed, st.Conflict, st.Refused, st.Cooling, st.Gone, bit(st.Complete))
		if err != nil {
			return err
		}
		return setItems(ctx, tx, []any{st.Rule, source, target}, st.Surveyed, list)
	})
}

// ForgetStandings implements state.History.
func (s *Store) ForgetStandings(ctx context.Context, gone []state.Standing) error {
	gone = unique(gone, func(st state.Standing) string {
		return st.Rule + "\x00" + st.Target.String() + "\x00" + st.Source.String()
	}, last)
	for chunk := range slices.Chunk(gone, batch) {
		err := s.update(ctx, "forget standings", func(tx *sql.Tx) error { return forgetStandings(ctx, tx, chunk) })
		if err != nil {
			return err
		}
	}
	return nil
}

func forgetStandings(ctx context.Context, tx *sql.Tx, gone []state.Standing) error {
	for _, st := range gone {
		_, source, err := repo(ctx, tx, st.Source)
		if err != nil {
			return err
		}
		_, target, err := repo(ctx, tx, st.Target)
		if err != nil {
			return err
		}
		for _, text := range []string{dropItems, dropStanding} {
			if _, err := tx.ExecContext(ctx, text, st.Rule, source, target); err != nil {
				return err
			}
		}
	}
	return nil
}

// setItems replaces the items of a standing (rule, source, target).
func setItems(ctx context.Context, tx *sql.Tx, of []any, surveyed time.Time, list []state.Item) error {
	since := make(map[itemKey]int64)
	err := each(ctx, tx, itemsSince, of, func(rows *sql.Rows) error {
		var k itemKey
		var us int64
		err := rows.Scan(&k.tag, &k.kind, &us)
		since[k] = us
		return err
	})
	if err != nil {
		return err
	}
	if len(since) > 0 {
		if _, err := tx.ExecContext(ctx, dropItems, of...); err != nil {
			return err
		}
	}
	return insert(ctx, tx, addItems, "", list, func(i state.Item) []any {
		us, known := since[itemKey{i.Tag, i.Kind}]
		if !known {
			us = micros(i.Since)
		}
		if us == 0 {
			us = micros(surveyed)
		}
		return append(append([]any(nil), of...), i.Tag, i.Kind, prose(i.Reason), prose(i.Hint), us)
	})
}

// Standings implements state.History.
func (s *Store) Standings(ctx context.Context, rule string) ([]state.Standing, error) {
	text, args := allStandings, []any(nil)
	if rule != "" {
		text, args = ruleStandings, []any{rule}
	}
	var all []state.Standing
	err := s.query(ctx, "read standings", text, args, func(rows *sql.Rows) error {
		var st state.Standing
		err := rows.Scan(&st.Rule, &st.Source.Host, &st.Source.Name, &st.Target.Host, &st.Target.Name,
			(*moment)(&st.Surveyed), (*moment)(&st.Pending), &st.InStep, &st.Behind, &st.Failed,
			&st.Conflict, &st.Refused, &st.Cooling, &st.Gone, (*flag)(&st.Complete))
		all = append(all, st)
		return err
	})
	return all, err
}

// Items implements state.History. A limit of 0 returns all.
func (s *Store) Items(ctx context.Context, rule string, limit int) ([]state.Item, error) {
	text, args := allItems, []any{most(limit)}
	if rule != "" {
		text, args = ruleItems, append(args, rule)
	}
	var all []state.Item
	err := s.query(ctx, "read items", text, args, func(rows *sql.Rows) error {
		var i state.Item
		err := rows.Scan(&i.Rule, &i.Target.Host, &i.Target.Name, &i.Tag, &i.Kind, &i.Reason, &i.Hint, (*moment)(&i.Since))
		all = append(all, i)
		return err
	})
	return all, err
}
