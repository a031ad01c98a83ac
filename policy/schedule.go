package policy

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

// Next returns the first time after the given one at which the rule is due, in
// the schedule's time zone (else that of after); zero if it has no schedule or
// is paused.
func (r Rule) Next(after time.Time) time.Time {
	if r.Schedule == "" || r.Paused {
		return time.Time{}
	}
	s, err := parseSchedule(r.Schedule)
	if err != nil {
		return time.Time{}
	}
	return s.Next(after)
}

// Latest returns the last time at which the rule was due, after the one and not
// after the other; zero if there was none. Processes that agree on after agree on
// what it returns, whatever their clocks.
func (r Rule) Latest(after, now time.Time) time.Time {
	s, err := parseSchedule(r.Schedule)
	if err != nil || r.Paused || !after.Before(now) {
		return time.Time{}
	}
	if every, ok := s.(cron.ConstantDelaySchedule); ok {
		return latestEvery(after, now, every.Delay)
	}
	if near := now.Add(-walk); after.Before(near) && !s.Next(near).After(now) {
		after = near // what was due before that does not matter
	}
	latest := time.Time{}
	for t := s.Next(after); !t.IsZero() && !t.After(now); t = s.Next(t) {
		latest = t
	}
	return latest
}

func latestEvery(after, now time.Time, delay time.Duration) time.Time {
	if n := now.Sub(after) / delay; n > 0 {
		return after.Add(n * delay)
	}
	return time.Time{}
}

// walk is how far back each time of a schedule is looked at: one that is due less
// often has few to look at.
const walk = 25 * time.Hour

// parseSchedule reads five cron fields or a descriptor such as @hourly.
func parseSchedule(text string) (cron.Schedule, error) {
	// cron v3.0.1 panics on a time zone with nothing behind it, and takes "" for one.
	fields := strings.Fields(text)
	if len(fields) == 0 || len(text) > 256 || hasZone(fields[0]) && len(fields) == 1 {
		return nil, badSchedule(text, errors.New("there are no fields"))
	}
	if hasZone(fields[0]) && strings.HasSuffix(fields[0], "=") {
		return nil, badSchedule(text, errors.New("the time zone has no name"))
	}
	s, err := cron.ParseStandard(strings.Join(fields, " "))
	if err != nil {
		return nil, badSchedule(text, err)
	}
	if s.Next(time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)).IsZero() {
		return nil, fmt.Errorf("%s is never due: there is no such date", quote(text))
	}
	return s, nil
}

func hasZone(field string) bool {
	return strings.HasPrefix(field, "TZ=") || strings.HasPrefix(field, "CRON_TZ=")
}

func badSchedule(text string, err error) error {
	return fmt.Errorf(`%s is not a schedule: %v; expected five cron fields such as "*/5 * * * *", or @every 10m`, quote(text), err)
}
