package ecrtest

import (
	"cmp"
	"encoding/base64"
	"regexp"
	"slices"
	"strings"
	"time"
)

// A repository is what ECR knows of one besides its content.
type repository struct {
	created     time.Time
	mutability  string
	exclusions  []exclusion
	encryption  encryption
	scan        bool
	lifecycle   string
	policy      string
	tags        map[string]string
	pullThrough bool
	archived    map[string]bool // by digest
}

type encryption struct {
	Type string `json:"encryptionType"`
	Key  string `json:"kmsKey,omitempty"`
}

type exclusion struct {
	Type   string `json:"filterType"`
	Filter string `json:"filter"`
}

type resourceTag struct{ Key, Value string }

// repositoryView is a repository in an answer.
type repositoryView struct {
	ARN        string      `json:"repositoryArn"`
	Registry   string      `json:"registryId"`
	Name       string      `json:"repositoryName"`
	URI        string      `json:"repositoryUri"`
	Created    seconds     `json:"createdAt"`
	Mutability string      `json:"imageTagMutability"`
	Exclusions []exclusion `json:"imageTagMutabilityExclusionFilters,omitempty"`
	Scanning   scanning    `json:"imageScanningConfiguration"`
	Encryption encryption  `json:"encryptionConfiguration"`
}

type scanning struct {
	ScanOnPush bool `json:"scanOnPush"`
}

// repo returns what is known of a repository that is there. The caller holds s.mu.
func (s *Server) repo(name string) *repository {
	r := s.repos[name]
	if r == nil {
		r = &repository{created: time.Now(), mutability: "MUTABLE", encryption: encryption{Type: "AES256"},
			tags: map[string]string{}, archived: map[string]bool{}}
		s.repos[name] = r
	}
	return r
}

// Change changes a repository's settings, which is made if it is not there.
func (s *Server) Change(repo string, c Settings) {
	s.Create(repo)
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.repo(repo)
	r.mutability, r.pullThrough = cmp.Or(c.Mutability, r.mutability), c.PullThrough
	for _, f := range c.Exclusions {
		r.exclusions = append(r.exclusions, exclusion{"WILDCARD", f})
	}
	if c.KMSKey != "" {
		r.encryption = encryption{"KMS", c.KMSKey}
	}
	for _, digest := range c.Archived {
		r.archived[digest] = true
	}
}

// Settings are those of a repository that tests look at and change.
type Settings struct {
	Mutability      string // MUTABLE, IMMUTABLE, or one of them with _WITH_EXCLUSION
	Exclusions      []string
	ScanOnPush      bool
	KMSKey          string
	LifecyclePolicy string
	Policy          string
	Tags            map[string]string
	PullThrough     bool     // made by a pull-through cache
	Archived        []string // digests in the archive
}

// Settings returns a repository's settings.
func (s *Server) Settings(repo string) Settings {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.repo(repo)
	c := Settings{Mutability: r.mutability, ScanOnPush: r.scan, KMSKey: r.encryption.Key, LifecyclePolicy: r.lifecycle,
		Policy: r.policy, Tags: r.tags, PullThrough: r.pullThrough}
	for _, f := range r.exclusions {
		c.Exclusions = append(c.Exclusions, f.Filter)
	}
	return c
}

func (s *Server) view(name string) repositoryView {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.repo(name)
	return repositoryView{ARN: s.arn(name), Registry: s.account, Name: name, URI: s.Host() + "/" + name, Created: seconds(r.created),
		Mutability: r.mutability, Exclusions: r.exclusions, Scanning: scanning{r.scan}, Encryption: r.encryption}
}

var repositoryName = regexp.MustCompile(`^(?:[a-z0-9]+(?:[._-][a-z0-9]+)*/)*[a-z0-9]+(?:[._-][a-z0-9]+)*$`)

// named returns the repository that a call is about, if it is there.
func (c *call) named(registry, name string) *fail {
	if len(name) < 2 || len(name) > 256 || !repositoryName.MatchString(name) {
		return failf("InvalidParameterException", "Invalid parameter at 'repositoryName' failed to satisfy constraint: 'must satisfy regular expression'")
	}
	if id := c.registry(registry); id != c.s.account || !c.s.Exists(name) {
		return c.absent(name, id)
	}
	return nil
}

// registry is the account that a call is about: the caller's own if it does not say.
func (c *call) registry(id string) string { return cmp.Or(id, c.who.who.account) }

func (c *call) absent(name, registry string) *fail {
	return failf("RepositoryNotFoundException", "The repository with name '%s' does not exist in the registry with id '%s'", name, registry)
}

func (c *call) describeRepositories() (any, *fail) {
	var in struct {
		RegistryID      string `json:"registryId"`
		RepositoryNames []string
		page
	}
	if f := c.read(&in); f != nil {
		return nil, f
	}
	var out struct {
		Repositories []repositoryView `json:"repositories"`
		NextToken    string           `json:"nextToken,omitempty"`
	}
	if len(in.RepositoryNames) > 0 {
		if len(in.RepositoryNames) > 100 || in.set() {
			return nil, failf("InvalidParameterException", "repositoryNames are at most 100 and exclude paging")
		}
		for _, name := range in.RepositoryNames {
			if f := c.named(in.RegistryID, name); f != nil {
				return nil, f
			}
			out.Repositories = append(out.Repositories, c.s.view(name))
		}
		return out, nil
	}
	n, after, empty, f := in.bounds(c, 1000, 100)
	if f != nil {
		return nil, f
	}
	names := c.s.Repositories()
	if c.registry(in.RegistryID) != c.s.account {
		names = nil
	}
	i, found := slices.BinarySearch(names, after)
	if found {
		i++
	}
	rest := names[i:]
	if out.Repositories = []repositoryView{}; empty {
		out.NextToken = pageToken(after, true)
		return out, nil
	}
	for _, name := range rest[:min(n, len(rest))] {
		out.Repositories = append(out.Repositories, c.s.view(name))
	}
	if len(rest) > n {
		out.NextToken = pageToken(rest[n-1], false)
	}
	return out, nil
}

// page is how lists are asked for.
type page struct {
	MaxResults *int
	NextToken  string
}

func (p page) set() bool { return p.MaxResults != nil || p.NextToken != "" }

// bounds reads how many entries are wanted, after which one, and whether the page
// is to be an empty one.
func (p page) bounds(c *call, most, usual int) (n int, after string, empty bool, f *fail) {
	n = usual
	if p.MaxResults != nil {
		n = *p.MaxResults
	}
	if n < 1 || n > most {
		return 0, "", false, failf("InvalidParameterException",
			"Invalid parameter at 'maxResults' failed to satisfy constraint: 'Member must have value less than or equal to %d'", most)
	}
	empty = c.s.config().EmptyPages
	if p.NextToken == "" {
		return n, "", empty, nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(p.NextToken)
	text, ok := strings.CutPrefix(string(raw), "ecr1 ")
	shown, after, _ := strings.Cut(text, " ")
	if err != nil || !ok {
		return 0, "", false, failf("InvalidParameterException", "Invalid parameter at 'nextToken' failed to satisfy constraint: 'Invalid token'")
	}
	return n, after, empty && shown != "e", nil
}

// pageToken names where a list goes on: after an entry, not at a number, so that
// what is pushed meanwhile moves nothing.
func pageToken(after string, empty bool) string {
	shown := "p"
	if empty {
		shown = "e"
	}
	return base64.RawURLEncoding.EncodeToString([]byte("ecr1 " + shown + " " + after))
}
