package policy

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
)

// A Secret is a value that never prints: every way of formatting it gives
// [redacted], in fmt, JSON, YAML and slog, and so does a struct that holds it.
// It is kept as the policy writes it, and resolved at use.
type Secret struct {
	// A pointer, because fmt cannot call methods on unexported fields of others'
	// structs and would print a string found there; of a pointer it prints the address.
	text *string
}

const redacted = "[redacted]"

// maxSecretFile bounds in bytes what is read from a file: reference.
const maxSecretFile = 64 << 10

// NewSecret returns text, in the policy's notation, as a Secret.
func NewSecret(text string) Secret {
	if text == "" {
		return Secret{}
	}
	return Secret{&text}
}

// IsZero reports whether there is no secret.
func (s Secret) IsZero() bool { return s.text == nil }

// Reveal returns the text as the policy writes it, references unresolved.
func (s Secret) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// Literal reports whether the policy holds the secret itself, not a reference.
func (s Secret) Literal() bool {
	text := s.Reveal()
	return text != "" && !strings.HasPrefix(text, "file:") && len(variables(text)) == 0
}

// Resolve returns the value: ${NAME} is replaced from the environment, $${
// stands for ${, and file:/path is the file's content, read anew each time,
// without its last line break. Errors name the variable or the file, never a
// value. The zero Secret resolves to "".
func (s Secret) Resolve() (string, error) {
	text := s.Reveal()
	if path, ok := strings.CutPrefix(text, "file:"); ok {
		return readSecret(path)
	}
	var missing []string
	value, err := expand(text, func(name string) string {
		v, ok := os.LookupEnv(name)
		if !ok || v == "" {
			missing = append(missing, name)
		}
		return v
	})
	if err == nil && len(missing) > 0 {
		err = fmt.Errorf("the environment variable %s is not set or empty; export it, or point to a file with file:/path", strings.Join(missing, ", "))
	}
	if err != nil {
		return "", err
	}
	return value, nil
}

func readSecret(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("the secret cannot be read: %w; make the file readable for this user", err)
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, maxSecretFile+1))
	if err != nil {
		return "", fmt.Errorf("the secret cannot be read: %w", err)
	}
	if len(content) > maxSecretFile {
		return "", fmt.Errorf("the secret file %s has more than %d bytes; is it the right file?", path, maxSecretFile)
	}
	value := strings.TrimSuffix(strings.TrimSuffix(string(content), "\n"), "\r")
	if value == "" {
		return "", fmt.Errorf("the secret file %s is empty", path)
	}
	return value, nil
}

// expand replaces ${NAME} by what get returns and $${ by ${. Its error holds no
// part of text, which may be a password with a ${ of its own.
func expand(text string, get func(name string) string) (string, error) {
	var b strings.Builder
	for {
		before, after, found := strings.Cut(text, "${")
		if !found {
			b.WriteString(text)
			return b.String(), nil
		}
		if literal, ok := strings.CutSuffix(before, "$"); ok {
			b.WriteString(literal + "${")
			text = after
			continue
		}
		name, rest, closed := strings.Cut(after, "}")
		if !closed || !isVariable(name) {
			return "", errors.New("has a ${ that names no variable; expected ${NAME} of letters, digits and underscores, or $${ for a literal ${")
		}
		b.WriteString(before)
		b.WriteString(get(name))
		text = rest
	}
}

func isVariable(name string) bool {
	if name == "" || name[0] >= '0' && name[0] <= '9' {
		return false
	}
	return strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_") == ""
}

// variables returns the names of the variables in text.
func variables(text string) (names []string) {
	_, _ = expand(text, func(name string) string { names = append(names, name); return "" })
	return names
}

// check reports whether the notation is right, without resolving anything.
func (s Secret) check() error {
	text := s.Reveal()
	if path, ok := strings.CutPrefix(text, "file:"); ok && !filepath.IsAbs(path) {
		return errors.New("points to a file by a relative path; expected file:/absolute/path")
	}
	_, err := expand(text, func(string) string { return "" })
	return err
}

// String returns [redacted].
func (s Secret) String() string { return redacted }

// GoString returns [redacted].
func (s Secret) GoString() string { return redacted }

// Format writes [redacted] for every verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// LogValue returns [redacted].
func (s Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText returns [redacted]; JSON and YAML go through it.
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// UnmarshalText takes the policy's notation.
func (s *Secret) UnmarshalText(text []byte) error {
	*s = NewSecret(string(text))
	return nil
}
