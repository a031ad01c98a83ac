package ecrpublic

import (
	"context"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecrpublic"
	"github.com/aws/aws-sdk-go-v2/service/ecrpublic/types"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/ecr"
	"github.com/transship/transship/providers/oci"
)

const opAliases = "list aliases"

// aliasesFor is how long the aliases of our account are believed, also that there
// are none, or that we may not know them.
const aliasesFor = 15 * time.Minute

// names are the aliases of our account, the primary one first; none if nobody signs
// in to the API, or who does may not know them.
func (r *Registry) names(ctx context.Context) ([]string, error) {
	if r.given {
		return nil, nil
	}
	r.asking.Lock() // those who come meanwhile find the answer
	defer r.asking.Unlock()
	if last := r.aliases; last != nil && time.Now().Before(last.until) {
		return last.names, nil
	}
	names, err := r.ask(ctx)
	if cause := context.Cause(ctx); err != nil && cause != nil {
		return nil, cause
	}
	if err != nil && providers.KindOf(err) != providers.Denied {
		return nil, err
	}
	if err != nil {
		r.log.Debug("whose aliases ours are cannot be known; all repositories are read as anybody's", "host", r.Host(), "err", err)
	}
	r.aliases = &aliases{names, time.Now().Add(aliasesFor)}
	return names, nil
}

func (r *Registry) ask(ctx context.Context) (names []string, err error) {
	in := &ecrpublic.DescribeRegistriesInput{}
	for range maxPages {
		out, err := ecr.Call(ctx, r.account, opAliases, "", in, (*ecrpublic.Client).DescribeRegistries)
		if err != nil {
			return nil, err
		}
		for _, registry := range out.Registries {
			for _, a := range registry.Aliases {
				switch name := aws.ToString(a.Name); {
				case a.Status != types.RegistryAliasStatusActive:
				case a.PrimaryRegistryAlias:
					names = slices.Insert(names, 0, name)
				default:
					names = append(names, name)
				}
			}
		}
		if in.NextToken = out.NextToken; aws.ToString(in.NextToken) == "" {
			return names, nil
		}
	}
	return nil, r.fail(opAliases, "", providers.Invalid, oci.ErrEndless, oci.HintEndless)
}

// ours reports whether a repository is below an alias of our account.
func (r *Registry) ours(ctx context.Context, repo string) (bool, error) {
	names, err := r.names(ctx)
	alias, _ := split(repo)
	return slices.Contains(names, alias), err
}

// Expect tells which repositories will be asked for; see [Registry.Caps].
func (r *Registry) Expect(repos ...string) {
	r.mu.Lock()
	for _, repo := range repos {
		alias, _ := split(repo)
		r.awaited[alias] = true
	}
	r.mu.Unlock()
	r.Registry.Expect(repos...)
}

// allOurs reports whether nobody else's repositories will be asked for.
func (r *Registry) allOurs(names []string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for alias := range r.awaited {
		if !slices.Contains(names, alias) {
			return false
		}
	}
	return true
}
