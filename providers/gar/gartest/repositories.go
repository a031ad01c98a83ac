package gartest

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Settings are those of a repository.
type Settings struct {
	Mode            string // "STANDARD_REPOSITORY" if "", "VIRTUAL_REPOSITORY", "REMOTE_REPOSITORY"
	Format          string // "DOCKER" if ""
	Description     string
	Labels          map[string]string
	KMSKey          string
	ImmutableTags   bool
	CleanupPolicies json.RawMessage // as the Admin API has them
}

type repository struct {
	Settings
	created, updated time.Time
}

// An operation is a repository that is being made.
type operation struct {
	key      string
	settings Settings
	left     int // questions until it is there
}

// Repository makes a repository ("acme/mirror"), or gives it other settings.
func (s *Server) Repository(key string, with Settings) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keep(key, with)
}

// keep wants the mutex to be held.
func (s *Server) keep(key string, with Settings) *repository {
	r := s.repos[key]
	if r == nil {
		r = &repository{created: time.Now()}
		s.repos[key] = r
	}
	r.Settings, r.updated = with, time.Now()
	return r
}

// ensure makes a repository unless it is there.
func (s *Server) ensure(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.repos[key] == nil {
		s.keep(key, Settings{})
	}
}

// Settings are those that a repository has now; ok is false if it is not there.
func (s *Server) Settings(key string) (with Settings, ok bool) {
	r := s.repository(key)
	if r == nil {
		return Settings{}, false
	}
	return r.Settings, true
}

func (s *Server) repository(key string) *repository {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.repos[key]; r != nil {
		c := *r
		return &c
	}
	return nil
}

// The enums of the Admin API, by their numbers.
var (
	formats = []string{"FORMAT_UNSPECIFIED", "DOCKER", "MAVEN", "NPM"}
	modes   = []string{"MODE_UNSPECIFIED", "STANDARD_REPOSITORY", "VIRTUAL_REPOSITORY", "REMOTE_REPOSITORY"}
)

func or(s, instead string) string {
	if s == "" {
		return instead
	}
	return s
}

// enum writes an enum as the client wants it.
func (c *call) enum(names []string, name string) any {
	if c.ints() {
		return slices.Index(names, name)
	}
	return name
}

// enumOf reads an enum, a number or a name.
func enumOf(names []string, raw json.RawMessage) string {
	var n int
	var name string
	switch {
	case len(raw) == 0:
		return ""
	case json.Unmarshal(raw, &n) == nil && n > 0 && n < len(names):
		return names[n]
	case json.Unmarshal(raw, &name) == nil:
		return name
	}
	return ""
}

func (s *Server) shown(c *call, key string, r *repository) map[string]any {
	out := map[string]any{"name": s.resource(key), "format": c.enum(formats, or(r.Format, "DOCKER")),
		"mode": c.enum(modes, or(r.Mode, "STANDARD_REPOSITORY")), "createTime": stamp(r.created), "updateTime": stamp(r.updated),
		"sizeBytes": "0", "somethingNew": map[string]any{"later": true}}
	for field, v := range map[string]string{"description": r.Description, "kmsKeyName": r.KMSKey} {
		if v != "" {
			out[field] = v
		}
	}
	if len(r.Labels) > 0 {
		out["labels"] = r.Labels
	}
	if r.ImmutableTags {
		out["dockerConfig"] = map[string]any{"immutableTags": true}
	}
	if len(r.CleanupPolicies) > 0 {
		out["cleanupPolicies"] = r.CleanupPolicies
	}
	return out
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

func (s *Server) listLocations(c *call) (any, *Fault) {
	project, _, _ := strings.Cut(c.key, "/")
	return map[string]any{"locations": []any{map[string]any{"name": "projects/" + project + "/locations/" + s.location, "locationId": s.location}}}, nil
}

func (s *Server) listRepositories(c *call) (any, *Fault) {
	s.mu.Lock()
	var keys []string
	for _, key := range slices.Sorted(maps.Keys(s.repos)) {
		if strings.HasPrefix(key, c.key) {
			keys = append(keys, key)
		}
	}
	s.mu.Unlock()
	keys, f := s.filter(c, keys, s.resource)
	if f != nil {
		return nil, f
	}
	keys, next, f := page(s, c, keys, func(k string) string { return k })
	if f != nil {
		return nil, f
	}
	var items []any
	for _, key := range keys {
		if r := s.repository(key); r != nil {
			items = append(items, s.shown(c, key, r))
		}
	}
	return list("repositories", items, next), nil
}

func (s *Server) getRepository(c *call) (any, *Fault) {
	s.turn(c.key)
	r := s.repository(c.key)
	if r == nil {
		return nil, notFound
	}
	return s.shown(c, c.key, r), nil
}

// turn lets a repository that is being made be there, once it was asked for often
// enough.
func (s *Server) turn(key string) *operation {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.making[key]
	if o == nil {
		return nil
	}
	if o.left--; o.left < 0 && s.repos[key] == nil {
		s.keep(key, o.settings)
	}
	return o
}

// input is a repository as clients send it.
type input struct {
	Format, Mode    json.RawMessage
	Description     string
	Labels          map[string]string
	KmsKeyName      string
	DockerConfig    struct{ ImmutableTags bool }
	CleanupPolicies json.RawMessage
}

func (i input) settings() Settings {
	return Settings{Mode: enumOf(modes, i.Mode), Format: enumOf(formats, i.Format), Description: i.Description, Labels: i.Labels,
		KMSKey: i.KmsKeyName, ImmutableTags: i.DockerConfig.ImmutableTags, CleanupPolicies: i.CleanupPolicies}
}

func (c *call) input() (in input, f *Fault) {
	if err := json.NewDecoder(c.r.Body).Decode(&in); err != nil {
		return in, &Fault{Code: 400, Status: "INVALID_ARGUMENT", Message: err.Error()}
	}
	return in, nil
}

func (s *Server) createRepository(c *call) (any, *Fault) {
	in, f := c.input()
	if f != nil {
		return nil, f
	}
	with := in.settings()
	key := c.key + c.r.URL.Query().Get("repositoryId")
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case with.Format == "" || strings.HasSuffix(key, "/"):
		return nil, &Fault{Code: 400, Status: "INVALID_ARGUMENT", Message: "repository format is required"}
	case s.repos[key] != nil || s.making[key] != nil:
		return nil, &Fault{Code: 409, Status: "ALREADY_EXISTS", Message: "the repository already exists"}
	}
	o := &operation{key, with, s.quirks.SlowCreate}
	s.making[key] = o
	if o.left == 0 {
		s.keep(key, with)
		return s.shownOperation(c, o, s.repos[key]), nil
	}
	return s.shownOperation(c, o, nil), nil
}

func (s *Server) getOperation(c *call) (any, *Fault) {
	key := strings.Replace(c.id, "create-", c.key, 1)
	o := s.turn(key)
	if o == nil {
		return nil, notFound
	}
	return s.shownOperation(c, o, s.repository(key)), nil
}

// shownOperation is a long-running operation (google.longrunning.Operation).
func (s *Server) shownOperation(c *call, o *operation, made *repository) map[string]any {
	project, id, _ := strings.Cut(o.key, "/")
	out := map[string]any{"name": fmt.Sprintf("projects/%s/locations/%s/operations/create-%s", project, s.location, id)}
	if made != nil {
		response := s.shown(c, o.key, made)
		delete(response, "somethingNew") // an Any is not read so leniently
		response["@type"] = "type.googleapis.com/google.devtools.artifactregistry.v1.Repository"
		out["done"], out["response"] = true, response
	}
	return out
}

func (s *Server) updateRepository(c *call) (any, *Fault) {
	in, f := c.input()
	if f != nil {
		return nil, f
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.repos[c.key]
	if r == nil {
		return nil, notFound
	}
	with, now := in.settings(), r.Settings
	mask := c.r.URL.Query().Get("updateMask")
	for field := range strings.SplitSeq(strings.Trim(mask, `"`), ",") {
		switch field {
		case "description":
			now.Description = with.Description
		case "labels":
			now.Labels = with.Labels
		case "cleanupPolicies", "cleanup_policies":
			now.CleanupPolicies = with.CleanupPolicies
		case "dockerConfig.immutableTags", "docker_config.immutable_tags", "dockerConfig", "docker_config":
			now.ImmutableTags = with.ImmutableTags
		default:
			return nil, &Fault{Code: 400, Status: "INVALID_ARGUMENT", Message: "field " + field + " cannot be updated"}
		}
	}
	return s.shown(c, c.key, s.keep(c.key, now)), nil
}

// deleteRepository takes a repository away with its images.
func (s *Server) deleteRepository(c *call) (any, *Fault) {
	if s.repository(c.key) == nil {
		return nil, notFound
	}
	for _, image := range s.packages(c.key) {
		s.Drop(s.prefix(c.key) + image)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.repos, c.key)
	delete(s.making, c.key)
	project, _, _ := strings.Cut(c.key, "/")
	return map[string]any{"name": "projects/" + project + "/locations/" + s.location + "/operations/delete", "done": true,
		"response": map[string]any{"@type": "type.googleapis.com/google.protobuf.Empty"}}, nil
}
