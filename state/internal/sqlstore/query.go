package sqlstore

import (
	"context"
	"database/sql"
	"slices"
	"strconv"
	"strings"
)

const (
	// batch is how many rows one transaction writes.
	batch = 500
	// listed is how long a list is: SQLite took 9 µs for each digest of a list of
	// 500, 5.5 µs of one of 200, and 11 µs of one of 20.
	listed = 200
	// parameters is how many of them an insert has. SQLite looks each up by its name
	// among all others, so that a statement with four times as many takes ten times
	// as long: 50,000 rows of four columns took 1.9 s at 2,000 and 0.5 s at 240.
	parameters = 240
)

// A querier is a pool or a transaction.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// each calls scan for every row of a query. scan copies what it keeps.
func each(ctx context.Context, q querier, text string, args []any, scan func(*sql.Rows) error) error {
	rows, err := q.QueryContext(ctx, text, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// list is "($from,$from+1,…)" for n parameters.
func list(from, n int) string {
	var b strings.Builder
	b.WriteByte('(')
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteByte('$')
		b.WriteString(strconv.Itoa(from + i))
	}
	b.WriteByte(')')
	return b.String()
}

// values is rows lists of cols parameters each, numbered from $1.
func values(rows, cols int) string {
	lists := make([]string, rows)
	for i := range lists {
		lists[i] = list(1+i*cols, cols)
	}
	return strings.Join(lists, ",")
}

// insert writes rows by "head VALUES (…),(…) tail", in the order given: sort them by
// key. args returns the columns of one row; all rows have as many.
func insert[T any](ctx context.Context, tx *sql.Tx, head, tail string, rows []T, args func(T) []any) error {
	if len(rows) == 0 {
		return nil
	}
	columns := len(args(rows[0]))
	for chunk := range slices.Chunk(rows, max(1, parameters/columns)) {
		all := make([]any, 0, len(chunk)*columns)
		for _, r := range chunk {
			all = append(all, args(r)...)
		}
		if _, err := tx.ExecContext(ctx, head+" VALUES "+values(len(chunk), columns)+" "+tail, all...); err != nil {
			return err
		}
	}
	return nil
}

// chunks calls do with fixed and at most listed of more as arguments, and the list
// of the latter's parameters.
func chunks[T any](fixed []any, more []T, column func(T) any, do func(list string, args []any) error) error {
	for chunk := range slices.Chunk(more, listed) {
		args := slices.Clone(fixed)
		for _, v := range chunk {
			args = append(args, column(v))
		}
		if err := do(list(len(fixed)+1, len(chunk)), args); err != nil {
			return err
		}
	}
	return nil
}

// unique sorts rows by key and folds those of one key into one, in the order in
// which they came.
func unique[T any](rows []T, key func(T) string, fold func(old, new T) T) []T {
	type keyed struct {
		key string
		row T
	}
	sorted := make([]keyed, len(rows))
	for i, r := range rows {
		sorted[i] = keyed{key(r), r} // once a row: a digest is decoded for it
	}
	slices.SortStableFunc(sorted, func(a, b keyed) int { return strings.Compare(a.key, b.key) })
	out := make([]T, 0, len(rows))
	for i, r := range sorted {
		if i > 0 && sorted[i-1].key == r.key {
			out[len(out)-1] = fold(out[len(out)-1], r.row)
		} else {
			out = append(out, r.row)
		}
	}
	return out
}

func last[T any](_, new T) T { return new }

// fill puts a list into the text where it says %s.
func fill(text, list string) string { return strings.Replace(text, "%s", list, 1) }
