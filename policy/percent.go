package policy

import (
	"fmt"
	"strconv"
	"strings"
)

// A Percent is a share, such as 10%. The zero Percent is none given; 0% is one.
type Percent struct {
	Of100 float64
	Given bool
}

// ParsePercent reads a number from 0 to 100 with a percent sign.
func ParsePercent(text string) (Percent, error) {
	number, ok := strings.CutSuffix(text, "%")
	n, err := strconv.ParseFloat(number, 64)
	if !ok || err != nil || !(n >= 0 && n <= 100) || strings.ContainsAny(number, "eExX+-_") {
		return Percent{}, fmt.Errorf("%s is not a percentage; expected one from 0%% to 100%%, such as 10%%", quote(text))
	}
	return Percent{n, true}, nil
}

// IsZero reports whether none is given.
func (p Percent) IsZero() bool { return !p.Given }

func (p Percent) String() string { return strconv.FormatFloat(p.Of100, 'f', -1, 64) + "%" }

// MarshalText prints p as String does.
func (p Percent) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText reads what [ParsePercent] reads.
func (p *Percent) UnmarshalText(text []byte) (err error) {
	*p, err = ParsePercent(string(text))
	return err
}
