package app

import (
	"encoding/json"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// Version is set by the linker in a release; elsewhere the build's own record of
// its module and commit is shown.
var Version = ""

// A build tells which program this is.
type build struct {
	Version string `json:"version"`
	Commit  string `json:"commit,omitempty"`
	Go      string `json:"go"`
	OS      string `json:"os"`
	Arch    string `json:"arch"`
}

func thisBuild() build {
	b := build{Version: Version, Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	if b.Version == "" {
		b.Version = info.Main.Version
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			b.Commit = s.Value
		}
	}
	return b
}

func (p *program) versionCmd() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print which transship this is",
		Example: "  transship version\n  transship version -o json",
		Args:    noArgs,
		RunE: func(*cobra.Command, []string) error {
			b := thisBuild()
			if p.json() {
				return json.NewEncoder(p.stdout).Encode(b)
			}
			p.printf("transship %s %s %s/%s\n", b.Version, b.Go, b.OS, b.Arch)
			return nil
		},
	}
}
