package policy

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// A window is a span of the day, on some days of the week, in a time zone.
type window struct {
	zone     *time.Location // nil is that of the time that is asked about
	days     [7]bool        // on which it opens, Sunday first
	from, to int            // minutes of the day; to may be before from, the next day
}

// Open reports whether the rule may run by itself at the given time: in one of
// its windows, or at any time if it has none.
func (r Rule) Open(at time.Time) bool { return !r.Opens(at).After(at) }

// Opens returns the first time, at or after the given one, at which the rule is in
// one of its windows; the given one itself if it has none.
func (r Rule) Opens(at time.Time) time.Time { return opensOf(parseWindows(r.Windows), at) }

// Closes returns when the window closes in which the rule is at the given time,
// windows that touch being one; zero if it is in none, or has none, or never closes.
func (r Rule) Closes(at time.Time) time.Time { return closesOf(parseWindows(r.Windows), at) }

func opensOf(windows []window, at time.Time) time.Time {
	var first time.Time
	for _, w := range windows {
		from, to := w.next(at)
		if to.IsZero() {
			continue // it is parsed, so it opens within a week
		}
		if from.Before(at) {
			from = at
		}
		if first.IsZero() || from.Before(first) {
			first = from
		}
	}
	if first.IsZero() {
		return at
	}
	return first
}

func closesOf(windows []window, at time.Time) time.Time {
	end := time.Time{}
	for t := at; ; t = end {
		for _, w := range windows {
			if from, to := w.next(t); !from.After(t) && to.After(end) {
				end = to
			}
		}
		switch {
		case end.IsZero() || end.Equal(t):
			return end
		case end.Sub(at) > 8*day:
			return time.Time{}
		}
	}
}

func parseWindows(texts []string) (list []window) {
	for _, text := range texts {
		if w, err := parseWindow(text); err == nil {
			list = append(list, w)
		}
	}
	return list
}

// next returns the first opening of w that ends after at.
func (w window) next(at time.Time) (from, to time.Time) {
	if w.zone != nil {
		at = at.In(w.zone)
	}
	year, month, date := at.Date()
	for d := -1; d <= 8; d++ {
		midnight := time.Date(year, month, date+d, 0, 0, 0, 0, at.Location())
		if !w.days[midnight.Weekday()] {
			continue
		}
		from, to = w.on(year, month, date+d, at.Location())
		if to.After(at) && to.After(from) { // an hour that summer time takes away has no window
			return from, to
		}
	}
	return time.Time{}, time.Time{}
}

// on is the opening of one day: by the clock on the wall, whatever summer time does.
func (w window) on(year int, month time.Month, date int, zone *time.Location) (from, to time.Time) {
	last := date
	if w.to <= w.from {
		last++
	}
	return time.Date(year, month, date, 0, w.from, 0, 0, zone), time.Date(year, month, last, 0, w.to, 0, 0, zone)
}

// parseWindow reads "22:00-06:00", days before it as in "Mon-Fri,Sun 22:00-06:00",
// and a time zone before these as schedules have it.
func parseWindow(text string) (w window, err error) {
	fields := strings.Fields(text)
	if len(text) > 256 {
		return w, badWindow(text)
	}
	if len(fields) > 0 && hasZone(fields[0]) {
		_, name, _ := strings.Cut(fields[0], "=")
		if w.zone, err = time.LoadLocation(name); err != nil || name == "" {
			return w, fmt.Errorf("%s has a time zone that is not known, %s", quote(text), quote(name))
		}
		fields = fields[1:]
	}
	w.days = [7]bool{true, true, true, true, true, true, true}
	if len(fields) == 2 {
		if w.days, err = parseDays(fields[0]); err != nil {
			return w, badWindow(text)
		}
		fields = fields[1:]
	}
	if len(fields) != 1 {
		return w, badWindow(text)
	}
	from, to, dash := strings.Cut(fields[0], "-")
	var fine, also bool
	w.from, fine = parseClock(from)
	w.to, also = parseClock(to)
	if !dash || !fine || !also || w.from == 24*60 || w.from == w.to {
		return w, badWindow(text)
	}
	return w, nil
}

func badWindow(text string) error {
	return fmt.Errorf("%s is not a window; expected one such as 22:00-06:00, Sat,Sun 00:00-24:00 or CRON_TZ=Europe/Paris Mon-Fri 20:00-06:00", quote(text))
}

// parseClock reads a time of day, 00:00 to 24:00, as minutes.
func parseClock(text string) (minutes int, ok bool) {
	h, m, _ := strings.Cut(text, ":")
	hours, err := strconv.ParseUint(h, 10, 8)
	rest, also := strconv.ParseUint(m, 10, 8)
	minutes = int(hours*60 + rest)
	return minutes, err == nil && also == nil && len(h) == 2 && len(m) == 2 && rest < 60 && minutes <= 24*60
}

var weekdays = [7]string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

// parseDays reads days of the week and spans of them, separated by commas.
func parseDays(text string) (days [7]bool, err error) {
	for part := range strings.SplitSeq(text, ",") {
		first, last, span := strings.Cut(part, "-")
		if !span {
			last = first
		}
		from, to := weekday(first), weekday(last)
		if from < 0 || to < 0 {
			return days, badWindow(text)
		}
		for d := from; ; d = (d + 1) % 7 {
			days[d] = true
			if d == to {
				break
			}
		}
	}
	return days, nil
}

func weekday(name string) int {
	for i, w := range weekdays {
		if strings.EqualFold(name, w) {
			return i
		}
	}
	return -1
}
