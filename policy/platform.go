package policy

import (
	"fmt"
	"slices"
	"strings"
)

// A Platform is os/architecture[/variant][:os.version], as in linux/arm64,
// linux/arm/v7 and windows/amd64:10.0.20348. What it leaves out may be anything.
type Platform struct{ OS, Architecture, Variant, OSVersion string }

// ParsePlatform reads a platform whose system and architecture Go knows.
func ParsePlatform(text string) (Platform, error) {
	name, version, versioned := strings.Cut(text, ":")
	parts := strings.Split(name, "/")
	if len(parts) < 2 || len(parts) > 3 || versioned && version == "" || parts[len(parts)-1] == "" {
		return Platform{}, fmt.Errorf("%s is no platform; expected os/architecture[/variant], such as linux/arm64", quote(text))
	}
	p := Platform{OS: parts[0], Architecture: parts[1], OSVersion: version}
	if len(parts) == 3 {
		p.Variant = parts[2]
	}
	if !slices.Contains(systems(), p.OS) {
		return Platform{}, fmt.Errorf("%s is no platform: unknown operating system %s%s", quote(text), quote(p.OS), suggest(p.OS, systems()))
	}
	if !slices.Contains(architectures(), p.Architecture) {
		hint := suggest(p.Architecture, architectures())
		if usual := usualName(p.Architecture); usual != "" {
			hint = fmt.Sprintf("; did you mean %q?", usual)
		}
		return Platform{}, fmt.Errorf("%s is no platform: unknown architecture %s%s", quote(text), quote(p.Architecture), hint)
	}
	return p, nil
}

func systems() []string {
	return []string{"linux", "windows", "darwin", "freebsd", "netbsd", "openbsd", "dragonfly",
		"illumos", "solaris", "aix", "android", "ios", "plan9", "js", "wasip1", "wasi", "zos"}
}

func architectures() []string {
	return []string{"amd64", "arm64", "arm", "386", "ppc64le", "s390x", "riscv64", "loong64", "mips64le",
		"mips64", "mipsle", "mips", "ppc64", "wasm", "wasm32", "armbe", "arm64be", "riscv", "s390", "sparc64"}
}

// usualName translates the names that other tools have for architectures.
func usualName(arch string) string {
	switch strings.ToLower(arch) {
	case "x86_64", "x86-64", "x64":
		return "amd64"
	case "aarch64", "armv8":
		return "arm64"
	case "i386", "i686", "x86":
		return "386"
	case "armhf", "armv7":
		return "arm"
	}
	return ""
}

// Match reports whether an image for the given platform is wanted. A variant is
// compared only if p has one, where arm64 without a variant is v8 and arm is v7
// (as containerd reads them); a version of the system matches by its leading
// numbers: 10.0.20348 is matched by 10.0.20348.2113.
func (p Platform) Match(os, arch, variant, osVersion string) bool {
	if p.OS != os || p.Architecture != arch {
		return false
	}
	if p.Variant != "" && usualVariant(arch, p.Variant) != usualVariant(arch, variant) {
		return false
	}
	return p.OSVersion == "" || strings.HasPrefix(osVersion+".", p.OSVersion+".")
}

// usualVariant fills in the variant that an image without one has.
func usualVariant(arch, variant string) string {
	switch {
	case arch == "arm64" && (variant == "" || variant == "8"):
		return "v8"
	case arch == "arm" && variant == "":
		return "v7"
	}
	return variant
}

// Match reports whether an image for the given platform is taken, and why.
func (p Platforms) Match(os, arch, variant, osVersion string) (ok bool, reason string) {
	if len(p.Only) == 0 {
		return true, "all platforms are taken"
	}
	for _, want := range p.Only {
		if want.Match(os, arch, variant, osVersion) {
			return true, fmt.Sprintf("platform %s matches", want)
		}
	}
	return false, "no platform of platforms.only matches"
}

// IsZero reports whether all platforms are taken.
func (p Platforms) IsZero() bool { return len(p.Only) == 0 && p.Mode == "" }

// String prints p as [ParsePlatform] reads it.
func (p Platform) String() string {
	text := p.OS + "/" + p.Architecture
	if p.Variant != "" {
		text += "/" + p.Variant
	}
	if p.OSVersion != "" {
		text += ":" + p.OSVersion
	}
	return text
}

// MarshalText prints p as String does.
func (p Platform) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText reads what [ParsePlatform] reads.
func (p *Platform) UnmarshalText(text []byte) (err error) {
	*p, err = ParsePlatform(string(text))
	return err
}
