package policy

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// A Duration is a span of time as people write it: 90s, 1h30m, 7d, 2w. Weeks
// are 7 days and days 24 hours. It is never negative.
type Duration time.Duration

const day = 24 * time.Hour

// Std returns d as the standard library's type.
func (d Duration) Std() time.Duration { return time.Duration(d) }

// A unit is a name with what it stands for.
type unit[T any] struct {
	name string
	is   T
}

func durationUnits() []unit[time.Duration] {
	return []unit[time.Duration]{
		{"w", 7 * day}, {"d", day}, {"h", time.Hour}, {"m", time.Minute},
		{"s", time.Second}, {"ms", time.Millisecond}, {"us", time.Microsecond}, {"ns", 1},
	}
}

// ParseDuration reads numbers with units, the largest unit first and each once:
// w, d, h, m, s, ms, us, ns. Only the last number may have decimals.
func ParseDuration(text string) (Duration, error) {
	total, rest, units := time.Duration(0), text, durationUnits()
	for rest != "" {
		number, name := scanNumber(rest)
		rest = name[len(unitName(name)):]
		n, i := unitName(name), -1
		for j, u := range units {
			if u.name == n {
				i = j
			}
		}
		if i < 0 || (strings.Contains(number, ".") && rest != "") {
			return 0, badDuration(text)
		}
		part, ok := scale(number, int64(units[i].is))
		if !ok || part > math.MaxInt64-int64(total) {
			return 0, badDuration(text)
		}
		total, units = total+time.Duration(part), units[i+1:]
	}
	if text == "" {
		return 0, badDuration(text)
	}
	return Duration(total), nil
}

func badDuration(text string) error {
	return fmt.Errorf("%s is not a duration; expected a number and a unit, such as 90s, 15m, 1h30m or 7d", quote(text))
}

// scanNumber splits off the digits and dot that text begins with.
func scanNumber(text string) (number, rest string) {
	i := 0
	for i < len(text) && (text[i] == '.' || text[i] >= '0' && text[i] <= '9') {
		i++
	}
	return text[:i], text[i:]
}

// unitName returns the letters that text begins with.
func unitName(text string) string {
	i := 0
	for i < len(text) && text[i] >= 'a' && text[i] <= 'z' {
		i++
	}
	return text[:i]
}

// scale returns number times unit, exactly; false if number is malformed or the
// product is no int64.
func scale(number string, unit int64) (int64, bool) {
	whole, decimals, dot := strings.Cut(number, ".")
	if dot && decimals == "" || len(decimals) > 9 {
		return 0, false
	}
	n, err := strconv.ParseInt(whole, 10, 64)
	if err != nil || n > math.MaxInt64/unit {
		return 0, false
	}
	n *= unit
	for _, c := range decimals {
		if c < '0' || c > '9' || unit%10 != 0 && c != '0' {
			return 0, false
		}
		unit /= 10
		part := int64(c-'0') * unit
		if part > math.MaxInt64-n {
			return 0, false
		}
		n += part
	}
	return n, true
}

// String prints days, hours, minutes and seconds, as [ParseDuration] reads them.
func (d Duration) String() string {
	if d <= 0 {
		return "0s"
	}
	var b strings.Builder
	rest := time.Duration(d)
	for _, u := range durationUnits()[1:] {
		if n := rest / u.is; n > 0 {
			fmt.Fprintf(&b, "%d%s", n, u.name)
			rest -= n * u.is
		}
	}
	return b.String()
}

// MarshalText prints d as String does.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads what [ParseDuration] reads.
func (d *Duration) UnmarshalText(text []byte) (err error) {
	*d, err = ParseDuration(string(text))
	return err
}
