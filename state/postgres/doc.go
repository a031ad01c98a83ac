// Package postgres keeps state in a PostgreSQL database (14 or newer), for any
// number of processes. What a process runs is locked in a session of its own, so
// that the server frees it when the process dies.
//
// Sessions have to be real: a pooler that gives each transaction another
// connection, such as PgBouncer in transaction mode, is found out at start and
// refused.
//
// # Dispatch
//
// River dispatches: in the transaction that makes a work row due a River job is
// inserted, for the time at which it is due. It is a wake-up and nothing more. The
// process that River gives it to takes the row whose turn it is, by priority and turn,
// which River knows nothing of; that row is locked by the process's session, or else
// the wake-up goes away. There are as many wake-ups as rows that are due, so that none
// waits because another was taken first. A wake-up lasts as long as the run, so that
// a process that is busy fetches none.
//
// Nothing rests on River's uniqueness, retries and rescue. Each process looks every
// two seconds for rows that run and are locked by nobody, whose process died, and for
// rows that are due without a wake-up, and wakes somebody.
package postgres
