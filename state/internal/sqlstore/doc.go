// Package sqlstore is state over database/sql: one SQL text for SQLite and
// PostgreSQL. What differs between the two is an [Engine], which the packages
// state/sqlite and state/postgres fill in; nobody else imports this package.
//
// # Design
//
// Parameters are $1, $2, … (both drivers bind them by number). Lists are written
// out as ($2,$3,…), at most 500 long, so that one query answers for
// hundreds of digests. Rows of one statement are sorted by their key: two writers
// that lock them in the same order cannot deadlock. No transaction outlives a
// call, and an iterator reads a page at a time, so that a slow consumer holds
// neither connection nor lock.
//
// Times are unix microseconds with 0 for never; digests are the raw sum.
package sqlstore
