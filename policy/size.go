package policy

import (
	"fmt"
	"strings"
)

// A Size is a number of bytes as people write it: 512B, 200MB (10^6), 64MiB (2^20).
type Size int64

// A ByteRate is bytes a second: 200MB/s.
type ByteRate int64

func sizeUnits() []unit[int64] {
	return []unit[int64]{
		{"TB", 1e12}, {"TiB", 1 << 40}, {"GB", 1e9}, {"GiB", 1 << 30},
		{"MB", 1e6}, {"MiB", 1 << 20}, {"kB", 1e3}, {"KB", 1e3}, {"KiB", 1 << 10}, {"B", 1},
	}
}

// ParseSize reads a number with a unit: B, kB, MB, GB, TB (powers of 1000), KiB,
// MiB, GiB, TiB (powers of 1024).
func ParseSize(text string) (Size, error) {
	number, name := scanNumber(text)
	for _, u := range sizeUnits() {
		if u.name != name {
			continue
		}
		if n, ok := scale(number, u.is); ok {
			return Size(n), nil
		}
	}
	return 0, fmt.Errorf("%s is not a size; expected a number and a unit, such as 512MiB or 10GB", quote(text))
}

// String prints s exactly, in the unit that needs the fewest digits.
func (s Size) String() string {
	best := fmt.Sprintf("%dB", int64(s))
	for _, u := range sizeUnits() {
		if int64(s)%u.is != 0 || u.name == "KB" {
			continue
		}
		if text := fmt.Sprintf("%d%s", int64(s)/u.is, u.name); shorter(text, best) {
			best = text
		}
	}
	return best
}

// shorter compares by digits, then by length, so that 1MB beats 1000kB.
func shorter(a, b string) bool {
	x, _ := scanNumber(a)
	y, _ := scanNumber(b)
	return len(x) < len(y)
}

// MarshalText prints s as String does.
func (s Size) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads what [ParseSize] reads.
func (s *Size) UnmarshalText(text []byte) (err error) {
	*s, err = ParseSize(string(text))
	return err
}

// ParseByteRate reads a size a second, which is above zero.
func ParseByteRate(text string) (ByteRate, error) {
	number, ok := strings.CutSuffix(text, "/s")
	n, err := ParseSize(number)
	if !ok || err != nil || n <= 0 {
		return 0, fmt.Errorf("%s is not a rate of bytes; expected a size a second above zero, such as 200MB/s or 64MiB/s", quote(text))
	}
	return ByteRate(n), nil
}

func (r ByteRate) String() string { return Size(r).String() + "/s" }

// MarshalText prints r as String does.
func (r ByteRate) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads what [ParseByteRate] reads.
func (r *ByteRate) UnmarshalText(text []byte) (err error) {
	*r, err = ParseByteRate(string(text))
	return err
}
