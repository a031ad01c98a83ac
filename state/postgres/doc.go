// Package postgres keeps state in a PostgreSQL database (14 or newer), for any
// number of processes. What a process runs is locked in a session of its own, so
// that the server frees it when the process dies.
//
// Sessions have to be real: a pooler that gives each transaction another
// connection, such as PgBouncer in transaction mode, is found out at start and
// refused.
package postgres
