package app

import (
	"github.com/spf13/cobra"
)

func (p *program) completionCmd() *cobra.Command {
	shells := []string{"bash", "zsh", "fish", "powershell"}
	return &cobra.Command{
		Use:   "completion bash|zsh|fish|powershell",
		Short: "Print the completion script of a shell",
		Example: `  source <(transship completion bash)
  transship completion bash > /etc/bash_completion.d/transship
  transship completion zsh > "${fpath[1]}/_transship"
  transship completion fish > ~/.config/fish/completions/transship.fish`,
		Args:                  oneOf(shells),
		ValidArgs:             shells,
		DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			switch args[0] {
			case "zsh":
				return cmd.Root().GenZshCompletion(p.stdout)
			case "fish":
				return cmd.Root().GenFishCompletion(p.stdout, true)
			case "powershell":
				return cmd.Root().GenPowerShellCompletionWithDesc(p.stdout)
			default:
				return cmd.Root().GenBashCompletionV2(p.stdout, true)
			}
		},
	}
}
