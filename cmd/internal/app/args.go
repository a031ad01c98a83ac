package app

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// noArgs is for commands that take none; for those that only hold others, an
// argument is a command that is not there.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	if !cmd.HasSubCommands() {
		return usage(cmd.CommandPath()+" --help", "%s takes no arguments, and got %q", cmd.Name(), args[0])
	}
	hint := cmd.CommandPath() + " --help"
	if cmd.SuggestionsMinimumDistance <= 0 {
		cmd.SuggestionsMinimumDistance = 2
	}
	if close := cmd.SuggestionsFor(args[0]); len(close) > 0 {
		hint = cmd.CommandPath() + " " + close[0]
	}
	return usage(hint, "no command %q", strings.TrimPrefix(cmd.CommandPath()+" "+args[0], cmd.Root().Name()+" "))
}

// argsFrom wants from least to most arguments, most < 0 for any number, and says
// in words what they are.
func argsFrom(least, most int, words string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) < least || most >= 0 && len(args) > most {
			return usage(cmd.CommandPath()+" --help", "%s takes %s, and got %s", cmd.Name(), words, count(len(args), "argument"))
		}
		return nil
	}
}

// oneOf wants exactly one argument, of a few words.
func oneOf(words []string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != 1 || !slices.Contains(words, args[0]) {
			return usage(cmd.CommandPath()+" "+words[0], "%s takes one of %s", cmd.Name(), orList(words))
		}
		return nil
	}
}

// orList prints words as "a, b or c"; there are at least two.
func orList(words []string) string {
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

// flagError says what is wrong with a flag, in words that do not show our insides.
func flagError(cmd *cobra.Command, err error) error {
	hint := cmd.CommandPath() + " --help"
	if bad, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
		return usage(hint, "--%s: %w", bad.GetFlag().Name, badValue(bad.GetFlag(), bad.GetValue(), bad.Unwrap()))
	}
	return usage(hint, "%w", err)
}

// badValue tells what a flag's value should have been.
func badValue(f *pflag.Flag, value string, err error) error {
	switch f.Value.Type() {
	case "int":
		return fmt.Errorf("%q is no whole number", value)
	case "bool":
		return fmt.Errorf("%q is neither true nor false", value)
	case "duration":
		return fmt.Errorf("%q is no duration; expected one such as 30s or 5m", value)
	}
	return err
}

// choice checks a flag that takes one of a few words.
func choice(cmd *cobra.Command, flag, value string, of ...string) error {
	if slices.Contains(of, value) {
		return nil
	}
	return usage(cmd.CommandPath()+" --help", "--%s: %q is not allowed; expected %s", flag, value, orList(of))
}

func atLeastOne(cmd *cobra.Command, flag string, n int) error {
	if n >= 1 {
		return nil
	}
	return usage(cmd.CommandPath()+" --help", "--%s: %d is too few; expected at least 1", flag, n)
}
