// Package gitlabtest is GitLab's container registry on loopback, for tests: a
// registrytest.Server that has GitLab's wire quirks on and its registry's own API
// (/gitlab/v1/), and beside it, at another port, the GitLab that gives its tokens
// (/jwt/auth) and lists its repositories (/api/v4/). It is never part of the
// shipped binary.
//
//	s := gitlabtest.New(t, gitlabtest.Options{})
//	s.Project("acme/team/app")                                       // a project with a registry
//	token := s.Token("sync", "read_registry", "write_registry")      // a personal access token
//	s.Load("acme/team/app/api", content.Image("app", layers), "v1")
//
// It refuses what GitLab refuses: paths below no project or more than two levels
// below one, scopes that a token lacks, deploy tokens at the API, lists of more than
// a thousand, fallback tags of referrers. Each quirk is a knob of [Quirks] or of
// registrytest's. What the documentation leaves open is marked UNVERIFIED there.
package gitlabtest
