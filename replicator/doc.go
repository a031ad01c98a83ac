// Package replicator is the engine: it expands rules into jobs and runs them:
// survey, plan, transfer, journal.
//
//	rules ──Expand──> jobs ──> survey ──> plan ──> transfer ──> journal ──> state
//	                           reads      pure     writes
//
// It decides nothing itself: what to look at is policy's, what to do plan's, how
// to do it transfer's. It starts no job on its own; whoever asks waits.
package replicator
