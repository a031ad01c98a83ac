package app

import (
	"errors"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/transship/transship/policy"
)

// Options are the settings of the process. What is to be replicated is in the
// policy; each of these is a flag, and an environment variable TRANSSHIP_NAME.
type Options struct {
	Config    []string      // policy files or folders; default ./transship.yaml
	State     string        // path of the state file; default below $XDG_STATE_HOME
	SpoolDir  string        // where blobs in transit are kept; default below the user's cache folder
	SpoolSize policy.Size   // bytes; 0 is 10 GiB or half of what is free, whichever is less
	Images    int           // images side by side per target; default 32
	Jobs      int           // repositories looked at side by side; default 8
	Grace     time.Duration // how long Ctrl-C lets blobs in flight finish; default 30s

	Output    string // text or json
	Progress  string // auto, bars, lines or none
	LogLevel  string // debug, info, warn or error
	LogFormat string // text or json
}

const envPrefix = "TRANSSHIP_"

// defaults returns the options before flags and environment.
func defaults() Options {
	return Options{
		State:    filepath.Join(dataHome("XDG_STATE_HOME", ".local/state", "/var/lib"), "transship", "state.db"),
		SpoolDir: filepath.Join(dataHome("XDG_CACHE_HOME", ".cache", "/var/cache"), "transship", "spool"),
		Images:   32, Jobs: 8, Grace: 30 * time.Second,
		Output: "text", Progress: "auto", LogLevel: "warn", LogFormat: "text",
	}
}

// dataHome is a base directory of the XDG specification: what env names, else the
// folder below the user's home; for a service, which has no home, it is system.
func dataHome(env, below, system string) string {
	if dir := os.Getenv(env); dir != "" {
		return dir
	}
	if home, err := os.UserHomeDir(); err == nil {
		return filepath.Join(home, below)
	}
	return system
}

// policyFlags adds what every command that reads a policy takes.
func (o *Options) policyFlags(f *pflag.FlagSet) {
	f.StringSliceVarP(&o.Config, "config", "c", nil, "policy `FILE` or folder; may be repeated (default transship.yaml)")
}

// stateFlags adds what every command with a memory takes.
func (o *Options) stateFlags(f *pflag.FlagSet) {
	f.StringVar(&o.State, "state", o.State, "state `FILE`; deleting it costs time, and little else")
}

// runFlags adds what commands take that move images.
func (o *Options) runFlags(f *pflag.FlagSet) {
	o.spoolFlags(f)
	f.IntVar(&o.Images, "images", o.Images, "images side by side for each target")
	f.IntVar(&o.Jobs, "jobs", o.Jobs, "repositories looked at side by side")
	f.DurationVar(&o.Grace, "grace", o.Grace, "how long a first Ctrl-C lets blobs in flight finish")
	f.StringVar(&o.Progress, "progress", o.Progress, "auto, bars, lines or none")
}

// spoolFlags adds where blobs are kept.
func (o *Options) spoolFlags(f *pflag.FlagSet) {
	f.StringVar(&o.SpoolDir, "spool-dir", o.SpoolDir, "`FOLDER` for blobs in transit")
	f.TextVar(&o.SpoolSize, "spool-size", o.SpoolSize, "most `BYTES` the spool takes, as 10GiB (default 10GiB or half of the free disk)")
	f.Lookup("spool-size").DefValue = "" // the text says it
}

// globalFlags adds what all commands take.
func (o *Options) globalFlags(f *pflag.FlagSet) {
	f.StringVarP(&o.Output, "output", "o", o.Output, "text or json")
	f.StringVar(&o.LogLevel, "log-level", o.LogLevel, "debug, info, warn or error")
	f.StringVar(&o.LogFormat, "log-format", o.LogFormat, "text or json")
}

// finish takes the environment for flags that were not given, and checks values.
func (o *Options) finish(cmd *cobra.Command) error {
	if err := fromEnvironment(cmd.Flags()); err != nil {
		return err
	}
	if err := errors.Join(
		choice(cmd, "output", o.Output, "text", "json"),
		choice(cmd, "progress", o.Progress, "auto", "bars", "lines", "none"),
		choice(cmd, "log-level", o.LogLevel, "debug", "info", "warn", "error"),
		choice(cmd, "log-format", o.LogFormat, "text", "json"),
		atLeastOne(cmd, "images", o.Images),
		atLeastOne(cmd, "jobs", o.Jobs),
	); err != nil {
		return err
	}
	if len(o.Config) == 0 {
		o.Config = []string{"transship.yaml"}
	}
	return nil
}

// fromEnvironment sets every flag that was not given from its twin: --spool-dir
// is TRANSSHIP_SPOOL_DIR. An empty one is as good as none.
func fromEnvironment(flags *pflag.FlagSet) error {
	var failed error
	flags.VisitAll(func(f *pflag.Flag) {
		name := envPrefix + envName(f.Name)
		value := os.Getenv(name)
		if f.Changed || value == "" || f.Name == "help" {
			return
		}
		if err := flags.Set(f.Name, value); err != nil && failed == nil {
			failed = usage("unset "+name+", or mend it", "environment variable %s: %w", name, badValue(f, value, errors.Unwrap(err)))
		}
	})
	return failed
}

func envName(flag string) string {
	name := []byte(flag)
	for i, c := range name {
		switch {
		case c == '-':
			name[i] = '_'
		case 'a' <= c && c <= 'z':
			name[i] = c - 'a' + 'A'
		}
	}
	return string(name)
}
