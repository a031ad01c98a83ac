// Package plan decides what a target repository needs. It is pure: no context,
// no clock, no log, no I/O, no order of maps; the same facts give the same plan.
package plan
