package state

import (
	"context"
	"time"
)

// Schedule is what is remembered of the times of rules, so that a rule runs once
// for each time that its schedule names, however many processes look at the clock,
// and once for all that were missed.
type Schedule interface {
	// Tick records that the rule's run of the given time is asked for, and asks. It
	// reports false, and asks for nothing, where that time or a later one is recorded
	// already; one that lies more than a minute ahead of the store's clock is taken
	// for a clock's mistake and does not count.
	Tick(ctx context.Context, rule string, at time.Time, asks ...Ask) (bool, error)
	// Rules returns what is known of each rule, by name.
	Rules(ctx context.Context) (map[string]RuleTime, error)
	// Pause says whether the rule stands still until further notice.
	Pause(ctx context.Context, rule string, paused bool) error
}

// A RuleTime is what is remembered of one rule.
type RuleTime struct {
	Ticked time.Time `json:"ticked,omitzero"` // the last time of its schedule that was asked for
	Paused bool      `json:"paused,omitempty"`
}
