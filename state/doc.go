// Package state is the contract of what transship remembers: facts about the
// world, work to do, and what was done.
//
// Facts are a memory and never the truth (design, I4): losing them costs time,
// and one that proves stale is forgotten by whoever found out. A registry is
// known here by its host, not by its name in a policy, so that a policy can be
// rewritten and a migration run again from another machine's file.
//
// The backends are state/sqlite and state/postgres, over one SQL text in
// state/internal/sqlstore; state/statetest is the suite that defines them.
package state
