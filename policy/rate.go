package policy

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// A Rate is a number of events in a time: 40/s, 600/m, 100/6h. The zero Rate is none.
type Rate struct {
	Count int
	Per   time.Duration
}

// maxRate keeps sums of rates far from overflow.
const maxRate = 1_000_000_000

// ParseRate reads a number, a slash, and a unit of time or a duration. Both are
// above zero.
func ParseRate(text string) (Rate, error) {
	bad := fmt.Errorf("%s is not a rate; expected a number in a time, such as 40/s, 600/m or 100/6h", quote(text))
	number, per, ok := strings.Cut(text, "/")
	n, err := strconv.ParseUint(number, 10, 32)
	if !ok || err != nil || n == 0 || n > maxRate || per == "" {
		return Rate{}, bad
	}
	if per == "min" {
		per = "m"
	}
	if per[0] < '0' || per[0] > '9' {
		per = "1" + per
	}
	d, err := ParseDuration(per)
	if err != nil || d <= 0 {
		return Rate{}, bad
	}
	return Rate{int(n), d.Std()}, nil
}

// PerSecond returns events a second, 0 for the zero Rate.
func (r Rate) PerSecond() float64 {
	if r.Per <= 0 {
		return 0
	}
	return float64(r.Count) / r.Per.Seconds()
}

// IsZero reports whether no rate is given.
func (r Rate) IsZero() bool { return r == Rate{} }

func (r Rate) String() string {
	per := Duration(r.Per).String()
	if one, ok := strings.CutPrefix(per, "1"); ok && one == unitName(one) {
		per = one
	}
	return fmt.Sprintf("%d/%s", r.Count, per)
}

// MarshalText prints r as String does.
func (r Rate) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads what [ParseRate] reads.
func (r *Rate) UnmarshalText(text []byte) (err error) {
	*r, err = ParseRate(string(text))
	return err
}
