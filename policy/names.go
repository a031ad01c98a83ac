package policy

import (
	"encoding/hex"
	"fmt"
	"regexp"
	"strings"
)

// maxRepository is the length in bytes that registries commonly allow a name
// together with its host (OCI distribution-spec v1.1, "Pulling manifests").
const maxRepository = 255

// checkRepository holds a name against the grammar of the OCI distribution-spec
// v1.1: components of a-z and 0-9, separated by ., _, __ or hyphens, joined by /.
func checkRepository(name string) error {
	if len(name) > maxRepository {
		return fmt.Errorf("%s is no repository name: it has %d characters, more than %d", quote(name), len(name), maxRepository)
	}
	for part := range strings.SplitSeq(name, "/") {
		if why := badComponent(part); why != "" {
			return fmt.Errorf("%s is no repository name: %s", quote(name), why)
		}
	}
	return nil
}

// badComponent says what is wrong with one component of a repository name.
func badComponent(part string) string {
	if part == "" {
		return "it is empty, or has an empty part between slashes"
	}
	for i := 0; i < len(part); {
		if isAlphanumeric(part[i]) {
			i++
			continue
		}
		sep := separator(part[i:])
		switch {
		case sep == "" && part[i] >= 'A' && part[i] <= 'Z':
			return "upper case is not allowed; use the template function lower"
		case sep == "":
			return fmt.Sprintf("%q is not allowed", part[i])
		case i == 0 || i+len(sep) == len(part) || !isAlphanumeric(part[i+len(sep)]):
			return fmt.Sprintf("%q has to stand between letters or digits", sep)
		}
		i += len(sep)
	}
	return ""
}

// separator returns the separator that text begins with: . _ __ or hyphens.
func separator(text string) string {
	if n := len(text) - len(strings.TrimLeft(text, "-")); n > 0 {
		return text[:n]
	}
	for _, sep := range []string{"__", "_", "."} {
		if strings.HasPrefix(text, sep) {
			return sep
		}
	}
	return ""
}

func isAlphanumeric(c byte) bool { return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' }

// checkTag holds a tag against the grammar of the OCI distribution-spec v1.1:
// a letter, digit or underscore, then at most 127 of these, dots and hyphens.
func checkTag(tag string) error {
	if !regexp.MustCompile(`^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$`).MatchString(tag) {
		return fmt.Errorf("%s is no tag: expected 1 to 128 letters, digits, _, . and -, with no . or - in front", quote(tag))
	}
	return nil
}

// checkDigest accepts sha256:<64 hex> and sha512:<128 hex>, in lower case.
func checkDigest(digest string) error {
	algorithm, sum, _ := strings.Cut(digest, ":")
	want := map[string]int{"sha256": 64, "sha512": 128}[algorithm]
	if _, err := hex.DecodeString(sum); err != nil || want == 0 || len(sum) != want || strings.ToLower(sum) != sum {
		return fmt.Errorf("%s is no digest; expected sha256: and 64 hexadecimal digits", quote(digest))
	}
	return nil
}

// checkName accepts the names of rules and registries.
func checkName(name string) error {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	if name == "" || len(name) > 63 || strings.Trim(name, plain+".-_") != "" || !strings.ContainsAny(name[:1], plain) {
		return fmt.Errorf("%s is no name; expected 1 to 63 letters, digits, dots, hyphens and underscores, a letter or digit first", quote(name))
	}
	return nil
}

// followsOther reports whether tag belongs to another manifest: the fallback tag
// of a subject's referrers (OCI distribution-spec v1.1, "Referrers Tag Schema"),
// or one of cosign's. subject is its digest.
func followsOther(tag string) (subject string, ok bool) {
	sum, found := strings.CutPrefix(tag, "sha256-")
	if !found || len(sum) < 64 {
		return "", false
	}
	switch sum[64:] {
	case "", ".sig", ".att", ".sbom":
		subject = "sha256:" + sum[:64]
		return subject, checkDigest(subject) == nil
	}
	return "", false
}
