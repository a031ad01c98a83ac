package replicator

import (
	"fmt"

	"github.com/transship/transship/policy"
	"github.com/transship/transship/providers"
	"github.com/transship/transship/replicator/plan"
)

// importSource is what a target is told of a source that it reads itself. The source's
// credential is in it only where the rule says for the target that it is shared.
func (e *Engine) importSource(rule string, from, to plan.Place) (providers.ImportSource, error) {
	source := e.opts.Policy.Registries[from.Registry]
	s := providers.ImportSource{Host: source.Endpoint(), ResourceID: source.ResourceID}
	if s.ResourceID != "" || !e.shares(rule, to.Registry) {
		return s, nil
	}
	var err error
	if s.Username, err = source.Auth.Username.Resolve(); err == nil {
		s.Password, err = source.Auth.Password.Resolve()
	}
	if err != nil {
		return s, fmt.Errorf("registry %s: auth: %w", from.Registry, err)
	}
	return s, nil
}

func (e *Engine) shares(rule, registry string) bool {
	for _, r := range e.opts.Policy.Rules {
		for _, t := range r.To {
			if r.Name == rule && t.Registry == registry && t.Via == policy.ViaImport && t.ShareSourceCredential {
				return true
			}
		}
	}
	return false
}
