package policy

import (
	"fmt"

	"github.com/Masterminds/semver/v3"
)

// compileSemver compiles a range such as ">=1.2 <3" or "1.x || ^2.4".
func compileSemver(text string) (*semver.Constraints, error) {
	if len(text) > maxPattern {
		return nil, fmt.Errorf("is a range of %d bytes; at most %d are allowed", len(text), maxPattern)
	}
	c, err := semver.NewConstraint(text)
	if err != nil {
		return nil, fmt.Errorf("%s is not a range of semantic versions; expected one such as \">=1.2 <3\" or ^1.4", quote(text))
	}
	return c, nil
}

// outside says why a tag is not in the range, "" if it is. A leading v is
// allowed, and missing numbers count as 0.
func outside(c *semver.Constraints, tag string) string {
	v, err := semver.NewVersion(tag)
	if err != nil {
		return "it is no semantic version"
	}
	if c.Check(v) {
		return ""
	}
	if v.Prerelease() != "" {
		if release, err := v.SetPrerelease(""); err == nil && c.Check(&release) {
			return "it is a pre-release, which the range takes only if it names one, as in >=1.2-0"
		}
	}
	return "it is outside the range"
}
