package sqlstore

import (
	"encoding/hex"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// sum is a digest as a column: 32 bytes for sha256, nothing for none, and for
// anything else its text, made one longer should it happen to be 32 bytes.
func sum(h v1.Hash) []byte {
	if h == (v1.Hash{}) {
		return []byte{}
	}
	if h.Algorithm == "sha256" && len(h.Hex) == 64 && !strings.ContainsAny(h.Hex, "ABCDEF") {
		if raw, err := hex.DecodeString(h.Hex); err == nil {
			return raw
		}
	}
	text := []byte(h.String())
	if len(text) == 32 {
		text = append(text, ' ')
	}
	return text
}

// A digest reads what sum has written.
type digest v1.Hash

func (d *digest) Scan(column any) error {
	raw, ok := column.([]byte)
	switch {
	case column == nil || ok && len(raw) == 0:
		*d = digest{}
	case !ok:
		return fmt.Errorf("a digest is stored as %T", column)
	case len(raw) == 32:
		*d = digest{Algorithm: "sha256", Hex: hex.EncodeToString(raw)}
	default:
		name, hex, _ := strings.Cut(strings.TrimSuffix(string(raw), " "), ":")
		*d = digest{Algorithm: name, Hex: hex}
	}
	return nil
}

// micros is a time as a column.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// A moment reads what micros has written, in UTC.
type moment time.Time

func (m *moment) Scan(column any) error {
	us, ok := column.(int64)
	if !ok {
		return fmt.Errorf("a time is stored as %T", column)
	}
	*m = moment(at(us))
	return nil
}

func at(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}

// A flag reads a truth value stored as 0 or 1.
type flag bool

func (f *flag) Scan(column any) error {
	n, ok := column.(int64)
	if !ok {
		return fmt.Errorf("a truth value is stored as %T", column)
	}
	*f = n != 0
	return nil
}

func bit(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// checkNames refuses what PostgreSQL cannot store, on both engines alike.
func checkNames(names ...string) error {
	for _, n := range names {
		if n == "" || !utf8.ValidString(n) || strings.ContainsRune(n, 0) {
			return fmt.Errorf("%q cannot be a name: it is empty, or not text", n)
		}
	}
	return nil
}

// prose makes text that came from a host storable.
func prose(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "�"), "\x00", "�")
}
