package app

import (
	"slices"
	"strings"

	"github.com/spf13/pflag"
	"github.com/transship/transship/policy"
)

const onlyHelp = "take only `RULE`, RULE:REPOSITORY or :REPOSITORY, where REPOSITORY is a name or glob at the source; may be repeated"

func onlyFlag(f *pflag.FlagSet, only *[]string) { f.StringSliceVar(only, "only", nil, onlyHelp) }

// A selection narrows a policy to some of its rules and repositories. One
// without picks takes all.
type selection struct{ picks []pick }

type pick struct {
	rule  string // "" is any
	repos policy.RepositoryMatcher
	all   bool // of the rule's repositories
}

// selectOnly reads what --only was given.
func selectOnly(set *policy.Set, args []string) (*selection, error) {
	s := &selection{}
	for _, arg := range args {
		rule, glob, narrowed := strings.Cut(arg, ":")
		if _, ok := set.Rule(rule); !ok && rule != "" {
			return nil, usage("one of the policy's rules: "+strings.Join(ruleNames(set), ", "), "--only: no rule %q", rule)
		}
		p := pick{rule: rule, all: !narrowed}
		if narrowed {
			m, err := policy.Repositories{Include: []string{glob}}.Matcher()
			if err != nil || glob == "" {
				return nil, usage("as in --only apps:team-a/**", "--only: %q is no repository or glob: %v", glob, err)
			}
			p.repos = m
		}
		s.picks = append(s.picks, p)
	}
	return s, nil
}

func ruleNames(set *policy.Set) (names []string) {
	for _, r := range set.Rules {
		names = append(names, r.Name)
	}
	return names
}

// rules returns the rules that are left.
func (s *selection) rules(set *policy.Set) []policy.Rule {
	if len(s.picks) == 0 {
		return set.Rules
	}
	return slices.DeleteFunc(slices.Clone(set.Rules), func(r policy.Rule) bool {
		return !slices.ContainsFunc(s.picks, func(p pick) bool { return p.rule == "" || p.rule == r.Name })
	})
}

// takes reports whether one source repository of a rule is left.
func (s *selection) takes(rule, repo string) bool {
	return len(s.picks) == 0 || slices.ContainsFunc(s.picks, func(p pick) bool {
		if p.rule != "" && p.rule != rule {
			return false
		}
		if p.all {
			return true
		}
		ok, _ := p.repos.Match(repo)
		return ok
	})
}

// narrowed reports whether some pick is of a part of a rule.
func (s *selection) narrowed() bool {
	return slices.ContainsFunc(s.picks, func(p pick) bool { return !p.all })
}
