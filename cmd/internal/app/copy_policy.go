package app

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/transship/transship/policy"
)

// A place is one end of a copy, as typed.
type place struct {
	registry policy.Registry
	repo     string
	tag      string // or
	digest   string
}

// same reports whether both are one place.
func (p place) same(o place) bool {
	return p.registry.Endpoint() == o.registry.Endpoint() && p.repo == o.repo && p.tag == o.tag && p.digest == o.digest
}

// copyHelp tells how the ends of a copy are written.
const copyHelp = `A reference is HOST/REPOSITORY[:TAG|@DIGEST]; without a host it is Docker Hub's.
http://HOST/... speaks plain http. layout:FOLDER/REPOSITORY[:TAG] is an OCI image
layout on disk.`

// parsePlace reads one end of a copy.
func parsePlace(arg string) (place, error) {
	if path, ok := strings.CutPrefix(arg, "layout:"); ok {
		return parseLayoutPlace(arg, path)
	}
	bare, plain := strings.CutPrefix(arg, "http://")
	bare = strings.TrimPrefix(bare, "https://")
	if err := isReference(bare, bare != arg); err != nil {
		return place{}, err
	}
	ref, err := name.ParseReference(bare, name.WeakValidation, name.WithDefaultTag(""))
	if err != nil {
		return place{}, usage("transship copy --help", "%q is no reference: %v", arg, err)
	}
	repo := ref.Context()
	p := place{
		registry: policy.Registry{Host: repo.RegistryStr(), PlainHTTP: plain},
		repo:     repo.RepositoryStr(),
	}
	if d, ok := ref.(name.Digest); ok {
		p.digest = d.DigestStr()
		return p, nil
	}
	p.tag = ref.Identifier()
	return p, nil
}

// isReference refuses what would be read as another reference than was meant: a
// host alone, which would be a repository of Docker Hub's. An address with
// credentials is not printed.
func isReference(bare string, url bool) error {
	host, _, hasRepo := strings.Cut(bare, "/")
	if user, _, found := strings.Cut(host, "@"); found && hasRepo && user != "" {
		return usage("docker login, or a policy with auth", "a reference holds no user name or password")
	}
	name, _, hasPort := strings.Cut(host, ":")
	if !hasRepo && (url || strings.Contains(name, ".") || hasPort && name == "localhost") {
		return usage(host+"/REPOSITORY", "%q names a host and no repository", host)
	}
	return nil
}

func parseLayoutPlace(arg, path string) (place, error) {
	var p place
	path, p.digest, _ = strings.Cut(path, "@")
	if i := strings.LastIndexByte(path, ':'); i > strings.LastIndexByte(path, '/') {
		path, p.tag = path[:i], path[i+1:]
	}
	root, err := filepath.Abs(filepath.Dir(path))
	if err != nil || filepath.Base(path) == "." {
		return place{}, usage("layout:FOLDER/REPOSITORY[:TAG]", "%q names no repository in a folder", arg)
	}
	p.registry = policy.Registry{Provider: "layout", Path: root}
	p.repo = filepath.Base(path)
	return p, nil
}

// A copyOrder is what copy's flags ask for.
type copyOrder struct {
	allTags     bool
	platforms   []policy.Platform
	mode        policy.Mode
	noReferrers bool
	onConflict  policy.OnConflict
}

// copySet is the policy that copies from one place to others.
func copySet(from place, to []place, o copyOrder) (*policy.Set, error) {
	if from.tag == "" && from.digest == "" && !o.allTags {
		from.tag = "latest"
	}
	if o.allTags && (from.tag != "" || from.digest != "") {
		return nil, usage("leave out the tag, or --all-tags", "--all-tags and one tag or digest of the source")
	}
	set := &policy.Set{Registries: map[string]policy.Registry{}}
	names := registryNames{set: set}
	rule := policy.Rule{
		Name:       "copy",
		From:       policy.Source{Registry: names.of(from.registry), Repositories: policy.Repositories{Include: []string{from.repo}}},
		Tags:       copyTags(from, o),
		Platforms:  policy.Platforms{Only: o.platforms, Mode: o.mode},
		OnConflict: o.onConflict,
	}
	if o.noReferrers {
		rule.Referrers.Enabled = new(bool)
	}
	for i, t := range to {
		if slices.ContainsFunc(to[:i], t.same) {
			return nil, usage("leave one out", "the same target is there twice: %s", t.repo)
		}
		target, err := copyTarget(t, from, o)
		if err != nil {
			return nil, err
		}
		target.Registry = names.of(t.registry)
		rule.To = append(rule.To, target)
	}
	set.Rules = []policy.Rule{rule}
	return set, set.Check()
}

func copyTags(from place, o copyOrder) policy.Tags {
	switch {
	case o.allTags:
		return policy.Tags{}
	case from.digest != "":
		return policy.Tags{Exclude: []string{"*"}, Digests: []string{from.digest}}
	default:
		return policy.Tags{Include: []string{from.tag}}
	}
}

func copyTarget(t, from place, o copyOrder) (policy.Target, error) {
	if t.digest != "" {
		return policy.Target{}, usage("a tag, or nothing", "a target cannot be named by digest: %s@%s", t.repo, t.digest)
	}
	if t.tag != "" && (o.allTags || from.digest != "") {
		return policy.Target{}, usage("leave out :"+t.tag+" at the target", "a target tag goes with one source tag")
	}
	if t.registry.Endpoint() == from.registry.Endpoint() && t.repo == from.repo && (t.tag == "" || t.tag == from.tag) {
		return policy.Target{}, usage("another repository, or another tag", "%s/%s would be copied onto itself", from.registry.Endpoint(), from.repo)
	}
	return policy.Target{Repository: t.repo, Tag: t.tag}, nil
}

// registryNames gives each registry of a copy one name in its policy.
type registryNames struct{ set *policy.Set }

func (n registryNames) of(r policy.Registry) string {
	base := r.Endpoint()
	for i := 1; ; i++ {
		key := base
		if i > 1 {
			key = fmt.Sprintf("%s (%d)", base, i)
		}
		have, taken := n.set.Registries[key]
		if !taken {
			n.set.Registries[key] = r
			return key
		}
		if have.PlainHTTP == r.PlainHTTP {
			return key
		}
	}
}
