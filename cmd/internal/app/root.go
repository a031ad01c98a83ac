package app

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// A program is one run of the command line.
type program struct {
	opts   Options
	stdin  io.Reader
	stdout io.Writer
	stderr io.Writer
	log    *slog.Logger
	stop   *stopper
	tracer tracer // nil without traces
}

// Main runs the command line and returns its exit code. It listens to SIGINT
// and SIGTERM: the first stops gracefully, the second at once.
func Main(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	thrifty()
	ctx, stop := newStopper(context.Background())
	defer stop.close()
	p := &program{opts: defaults(), stdin: stdin, stdout: stdout, stderr: stderr, stop: stop}
	root := p.root()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	return conclude(stderr, err)
}

// thrifty lets garbage grow to half of what is in use, not as much again: what is
// allocated is buffers, which cost little to collect. GOGC has the last word.
func thrifty() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(50)
	}
}

// root builds the command tree.
func (p *program) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "transship",
		Short: "Keep container images in several registries the same",
		Long: `transship copies container images from one registry to others, and keeps them the
same: it compares by digest, copies only what is missing, and puts a tag only when
everything below it is there.

A policy file says what goes where. Without one, "copy" takes two references.`,
		Example: `  transship config init > transship.yaml    # a policy to start from
  transship plan                            # what would happen; changes nothing
  transship sync                            # do it
  transship check                           # is every replica complete and equal?
  transship copy registry.example.com/app:v1 mirror.example.com/app`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          noArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			if err := p.opts.finish(cmd); err != nil {
				return err
			}
			p.log = p.logger()
			return nil
		},
	}
	root.SetOut(p.stdout)
	root.SetErr(p.stderr)
	root.SetIn(p.stdin)
	p.opts.globalFlags(root.PersistentFlags())
	root.AddCommand(
		p.planCmd(), p.syncCmd(), p.copyCmd(), p.serveCmd(), p.queueCmd(), p.checkCmd(), p.adoptCmd(), p.statusCmd(),
		p.doctorCmd(), p.providersCmd(),
		p.configCmd(), p.versionCmd(), p.completionCmd(),
	)
	root.SetFlagErrorFunc(flagError)
	root.SetUsageTemplate(root.UsageTemplate() + "\n" + exitHelp + "\nEvery flag has a twin in the environment: --spool-dir is TRANSSHIP_SPOOL_DIR.\n")
	return root
}

func (p *program) logger() *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(p.opts.LogLevel)) // checked by Options.finish
	o := &slog.HandlerOptions{Level: level}
	if p.opts.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(p.stderr, o))
	}
	return slog.New(slog.NewTextHandler(p.stderr, o))
}

// json reports whether scripts read our output.
func (p *program) json() bool { return p.opts.Output == "json" }

// printf writes to standard output.
func (p *program) printf(format string, args ...any) { fmt.Fprintf(p.stdout, format, args...) }
