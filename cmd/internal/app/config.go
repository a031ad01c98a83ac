package app

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/transship/transship/policy"
)

func (p *program) configCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Start, check and describe policy files",
		Example: `  transship config init --file transship.yaml
  transship config validate
  transship config schema > transship.schema.json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(p.configInitCmd(), p.configValidateCmd(), p.configSchemaCmd())
	return cmd
}

func (p *program) configInitCmd() *cobra.Command {
	var kind, file string
	kinds := policy.Examples()
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Print a policy to start from, with comments",
		Example: `  transship config init > transship.yaml
  transship config init --kind migration --file transship.yaml`,
		Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			text, err := policy.Example(kind)
			if err != nil {
				return usage("one of "+strings.Join(kinds, ", "), "--kind: %v", err)
			}
			if file == "" {
				p.printf("%s", text)
				return nil
			}
			return writeNew(file, text)
		},
	}
	cmd.Flags().StringVar(&kind, "kind", kinds[0], "what the policy is for: "+strings.Join(kinds, ", "))
	cmd.Flags().StringVar(&file, "file", "", "write to `FILE`, which must not exist yet, instead of standard output")
	_ = cmd.RegisterFlagCompletionFunc("kind", cobra.FixedCompletions(kinds, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// writeNew writes text to a file that does not exist: somebody's policy is never lost.
func writeNew(path, text string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if os.IsExist(err) {
		return usage("another --file, or remove it first", "%s exists and is left as it is", path)
	}
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	if closing := f.Close(); err == nil {
		err = closing
	}
	return err
}

// A verdict is what config validate says of a policy.
type verdict struct {
	Valid      bool            `json:"valid"`
	Registries int             `json:"registries"`
	Rules      int             `json:"rules"`
	Problems   policy.Problems `json:"problems,omitempty"`
	Warnings   policy.Problems `json:"warnings,omitempty"` // allowed, and probably not meant
}

func (p *program) configValidateCmd() *cobra.Command {
	var secrets bool
	cmd := &cobra.Command{
		Use:   "validate [FILE...]",
		Short: "Check policy files, and print every mistake with its place",
		Long: `Validate reads the files or folders (default: --config) as sync would, and asks no
registry. What is allowed and probably not meant is a warning. With --secrets it
also looks whether each environment variable and file that a credential refers to
is there; values are never printed.`,
		Example: "  transship config validate\n  transship config validate --secrets policies/\n  transship config validate -o json a.yaml b.yaml",
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				args = p.opts.Config
			}
			set, err := readPolicy(args)
			if err == nil && secrets {
				err = set.CheckSecrets()
			}
			if p.json() {
				return p.jsonVerdict(set, err)
			}
			if err != nil {
				return err
			}
			for _, w := range set.Warnings() {
				fmt.Fprintf(p.stderr, "warning: %s\n", w)
			}
			p.printf("%s: %s, %s: no mistakes\n", strings.Join(args, ", "), count(len(set.Registries), "registry"), count(len(set.Rules), "rule"))
			return nil
		},
	}
	p.opts.policyFlags(cmd.Flags())
	cmd.Flags().BoolVar(&secrets, "secrets", false, "look whether referenced variables and files are there")
	return cmd
}

func (p *program) jsonVerdict(set *policy.Set, err error) error {
	v := verdict{Valid: err == nil}
	if err == nil {
		v.Registries, v.Rules, v.Warnings = len(set.Registries), len(set.Rules), set.Warnings()
		return p.writeJSON(v)
	}
	problems, ok := err.(policy.Problems)
	if !ok {
		return err
	}
	v.Problems = slices.Clone(problems)
	if err := p.writeJSON(v); err != nil {
		return err
	}
	return &failure{code: exitUsage}
}

func (p *program) configSchemaCmd() *cobra.Command {
	return &cobra.Command{
		Use:     "schema",
		Short:   "Print the JSON schema of the policy file, for editors",
		Example: "  transship config schema > transship.schema.json\n  # first line of a policy: # yaml-language-server: $schema=transship.schema.json",
		Args:    noArgs,
		RunE: func(*cobra.Command, []string) error {
			schema, err := policy.Schema()
			if err != nil {
				return fmt.Errorf("make the schema: %w", err)
			}
			p.printf("%s\n", schema)
			return nil
		},
	}
}
