package policy

import (
	"errors"
	"testing"
)

// design is the example of the design, without its comments.
const design = `
registries:
  prod:  {host: 123456789012.dkr.ecr.eu-west-1.amazonaws.com}            # provider inferred from the host
  gcp:   {host: europe-west1-docker.pkg.dev, egressPrice: 0.12}          # USD per GB read from where we run
  azure: {host: acmedr.azurecr.io, limits: {requests: 40/s, bytes: 200MB/s}}
  lab:   {host: registry.lab:5000, provider: oci, plainHTTP: true, auth: {username: sync, password: "${LAB_PASSWORD}"}}
  disk:  {provider: layout, path: /srv/images}
rules:
  - name: apps
    schedule: "*/5 * * * *"
    from: {registry: prod, repositories: {include: ["team-*/**"], exclude: ["**/scratch"]}}
    to:
      - {registry: gcp, repository: "acme/mirror/{{.Repository}}"}
      - {registry: azure, repository: "dr/{{.Repository}}", onConflict: fail}
    tags: {include: ["v*"], semver: ">=1.2", newest: {count: 50, by: semver}, minAge: 1h}
    immutableTags: ["v*"]
    platforms: {only: [linux/amd64, linux/arm64], mode: rewrite}
    referrers: {recheck: 1h}
    verifyEvery: 24h
    maxLag: 15m
`

func mustParse(t *testing.T, text string) *Set {
	t.Helper()
	s, err := Parse("policy.yaml", []byte(text))
	if err != nil {
		t.Fatalf("Parse:\n%v", err)
	}
	return s
}

func problemsOf(t *testing.T, err error) Problems {
	t.Helper()
	ps, ok := errors.AsType[Problems](err)
	if !ok {
		t.Fatalf("error is %T (%v), want Problems", err, err)
	}
	return ps
}

func TestParseDesignExample(t *testing.T) {
	s := mustParse(t, design)
	if got := s.Registries["azure"].Limits; got.Bytes != 200_000_000 || got.Requests.PerSecond() != 40 {
		t.Errorf("limits of azure are %v", got)
	}
	r, ok := s.Rule("apps")
	if !ok || len(r.To) != 2 || r.To[1].OnConflict != Fail || r.Tags.Newest.Count != 50 {
		t.Errorf("rule apps is %+v", r)
	}
	if r.Platforms.Only[1] != (Platform{OS: "linux", Architecture: "arm64"}) || r.Platforms.Mode != Rewrite {
		t.Errorf("platforms are %v", r.Platforms)
	}
	if got := s.at["rules[0].to[1].onConflict"]; got.line != 14 || got.column != 73 {
		t.Errorf("onConflict stands at %d:%d", got.line, got.column)
	}
}
