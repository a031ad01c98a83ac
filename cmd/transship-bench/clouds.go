package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/transship/transship/providers/acr/acrtest"
	"github.com/transship/transship/providers/ecr/ecrtest"
	"github.com/transship/transship/providers/gar/gartest"
	"github.com/transship/transship/providers/registrytest"
	"github.com/transship/transship/providers/registrytest/content"
)

// clouds are an ECR, which is the source, and an Artifact Registry and an ACR, the
// targets: emulators that refuse what the clouds refuse.
type clouds struct {
	ecr    *ecrtest.Server
	gar    *gartest.Server
	acr    *acrtest.Server
	before map[*registrytest.Server]calls
}

// garPrefix is what repositories begin with at Artifact Registry: project/repository.
const garPrefix = "acme/mirror/"

// openClouds starts them at the distances of a scenario.
func (w *world) openClouds(s scenario) (err error) {
	c := &clouds{before: map[*registrytest.Server]calls{}}
	w.clouds = c
	at := func(from registrytest.Quirks) func(*registrytest.Quirks) {
		return func(q *registrytest.Quirks) { q.Wire = from.Wire }
	}
	if c.ecr, err = ecrtest.Start(ecrtest.Options{Wire: at(s.Source)}); err != nil {
		return fmt.Errorf("start ECR: %w", err)
	}
	w.source = c.ecr.Server
	if c.gar, err = gartest.Start(gartest.Options{Wire: at(s.Target)}); err != nil {
		return fmt.Errorf("start Artifact Registry: %w", err)
	}
	c.gar.Repository("acme/mirror", gartest.Settings{})
	w.targets = append(w.targets, c.gar.Server)
	if c.acr, err = acrtest.Start(acrtest.Options{Wire: at(s.Target), TLS: true}); err != nil {
		return fmt.Errorf("start ACR: %w", err)
	}
	w.targets = append(w.targets, c.acr.Server)
	return nil
}

// close ends what the registries' own Close leaves.
func (c *clouds) close() {
	if c == nil {
		return
	}
	if c.ecr != nil {
		c.ecr.Close()
	}
	if c.gar != nil {
		c.gar.Close()
	}
	if c.acr != nil {
		c.acr.Close()
	}
}

// at is the name of a source repository at a target.
func (w *world) at(target *registrytest.Server, repo string) string {
	if w.clouds != nil && target == w.clouds.gar.Server {
		return garPrefix + repo
	}
	return repo
}

// under is the corpus as a target has it.
func (w *world) under(target *registrytest.Server, c content.Corpus) content.Corpus {
	if w.clouds == nil {
		return c
	}
	there := slices.Clone(c)
	for i := range there {
		there[i].Repo = w.at(target, there[i].Repo)
	}
	return there
}

// calls is what a cloud's API was asked.
type calls struct{ lists, tokens, asOther int64 }

// calls returns those of a registry since the counts began anew. Those of ACR are
// in the registry's own counts, too, as requests of no known kind.
func (c *clouds) calls(s *registrytest.Server) calls {
	now, before := c.callsSoFar(s), c.before[s]
	return calls{now.lists - before.lists, now.tokens - before.tokens, now.asOther - before.asOther}
}

func (c *clouds) callsSoFar(s *registrytest.Server) calls {
	switch s {
	case c.ecr.Server:
		n := c.ecr.Calls()
		return calls{lists: n["DescribeRepositories"] + n["DescribeImages"], tokens: n["GetAuthorizationToken"] + n["AssumeRole"]}
	case c.gar.Server:
		n := c.gar.Calls()
		return calls{lists: n["ListRepositories"] + n["ListPackages"] + n["ListTags"] + n["ListVersions"] + n["GetRepository"], tokens: n["Token"]}
	}
	n := c.acr.Calls()
	lists, tokens := n["catalog"]+n["manifests"]+n["tags"], n["exchange"]+n["token"]
	return calls{lists, tokens + c.acr.Entra().Calls()["secret"], lists + tokens}
}

// resetCounts begins all counts anew.
func (w *world) resetCounts() {
	for _, s := range w.servers() {
		s.ResetCounts()
		if w.clouds != nil {
			w.clouds.before[s] = w.clouds.callsSoFar(s)
		}
	}
}

// counts is what a registry and its cloud's API saw.
func (w *world) counts(s *registrytest.Server) registrytest.Counts {
	n := s.Counts()
	if w.clouds == nil {
		return n
	}
	more := w.clouds.calls(s)
	n.Requests[registrytest.Tags] += more.lists
	n.Requests[registrytest.Token] += more.tokens
	n.Requests[registrytest.Other] -= more.asOther
	return n
}

// A pointer is what a tool has to know to find the clouds.
type pointer struct {
	env    []string
	policy string // of transship
}

// point writes the identities of a tool into dir.
func (c *clouds) point(dir string) (*pointer, error) {
	user, app := c.ecr.IAM().User("bench"), c.acr.Entra().App("bench")
	c.acr.Assign(app.ClientID, acrtest.AcrPush)
	key, ca := filepath.Join(dir, "google.json"), filepath.Join(dir, "azure.pem")
	if err := os.WriteFile(key, c.gar.KeyFile(c.gar.IAM().Account("bench")), 0o600); err != nil {
		return nil, err
	}
	if err := os.WriteFile(ca, slices.Concat(c.acr.CA(), c.acr.Entra().CA()), 0o600); err != nil {
		return nil, err
	}
	return &pointer{
		env: []string{
			"AWS_ACCESS_KEY_ID=" + user.ID, "AWS_SECRET_ACCESS_KEY=" + user.Secret,
			"AWS_ENDPOINT_URL_ECR=" + c.ecr.Endpoint(), "AWS_ENDPOINT_URL_STS=" + c.ecr.Endpoint(),
			"CLOUDSDK_API_ENDPOINT_OVERRIDES_ARTIFACTREGISTRY=" + c.gar.Endpoint(), "CLOUDSDK_ARTIFACTS_LOCATION=" + c.gar.Location(),
			"AZURE_AUTHORITY_HOST=" + c.acr.Entra().URL(),
		},
		policy: fmt.Sprintf(`registries:
  aws:    {host: %q, provider: ecr, plainHTTP: true, auth: {aws: {region: %s}}}
  google: {host: %q, provider: gar, plainHTTP: true, auth: {gcp: {credentialsFile: %q}}}
  azure:  {host: %q, provider: acr, caFile: %q, auth: {azure: {tenantID: %s, clientID: %s, clientSecret: %q}}}
rules:
  - name: bench
    from: {registry: aws}
    to: [{registry: google, repository: "%s{{.Repository}}"}, {registry: azure}]
`, c.ecr.Host(), c.ecr.Region(), c.gar.Host(), key, c.acr.Host(), ca, app.Tenant, app.ClientID, app.Secret, garPrefix),
	}, nil
}
