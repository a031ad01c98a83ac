package app

import (
	"github.com/transship/transship/policy"
	"github.com/transship/transship/providers/all"
)

// readPolicy reads files and folders as one policy and holds it against what the
// built-in providers can do. What is wrong with it is [policy.Problems].
func readPolicy(paths []string) (*policy.Set, error) {
	set, err := policy.Load(paths...)
	if err != nil {
		return nil, err
	}
	pushTimes := func(registry string) bool { return all.PushTimes(set.Registries[registry].ProviderName()) }
	if err := set.CheckCapabilities(pushTimes).Err(); err != nil {
		return nil, err
	}
	if err := set.CheckQuotas(func(registry string) (names []string) {
		for _, q := range all.Documented(set.Registries[registry].ProviderName()).Quotas {
			names = append(names, q.Name)
		}
		return names
	}).Err(); err != nil {
		return nil, err
	}
	return set, nil
}
