package replicator

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/transship/transship/policy"
	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/acr/acrtest"
	"github.com/transship/transship/providers/all"
	"github.com/transship/transship/providers/ecr/ecrtest"
	"github.com/transship/transship/providers/gar/gartest"
	"github.com/transship/transship/providers/registrytest"
	"github.com/transship/transship/providers/registrytest/content"
)

// The engine across clouds: from ECR to Artifact Registry and ACR, emulated, with
// every refusal on, each spoken to by its own cloud's SDK.

// What targets put before the names of repositories: Artifact Registry wants
// project/repository/image.
const (
	garPrefix = "acme/mirror/"
	acrPrefix = "dr/"
)

// clouds is an ECR "src", an Artifact Registry "gar" and an ACR "acr".
type clouds struct {
	*rig
	ecr *ecrtest.Server
	gar *gartest.Server
	acr *acrtest.Server

	how  map[string]all.Options
	path string // of the state

	entraBefore int64 // sign-ins before the calls were counted anew
}

// cloudOptions change what is on by default.
type cloudOptions struct {
	ecr   func(*ecrtest.Quirks)
	gar   func(*gartest.Quirks)
	acr   func(*acrtest.Quirks)
	wire  func(*registrytest.Quirks) // of the source
	each  func(*all.Options)
	entra time.Duration // life of its tokens, 0 for an hour
}

func newClouds(t *testing.T, o cloudOptions) *clouds {
	t.Helper()
	c := &clouds{
		ecr: ecrtest.New(t, ecrtest.Options{Quirks: o.ecr, Wire: o.wire}),
		gar: gartest.New(t, gartest.Options{Quirks: o.gar}),
		acr: acrtest.New(t, acrtest.Options{Quirks: o.acr}),
	}
	c.rig = &rig{t: t, now: time.Now(), clients: map[string]providers.Registry{},
		servers: map[string]*registrytest.Server{"src": c.ecr.Server, "gar": c.gar.Server, "acr": c.acr.Server}}
	if o.entra > 0 {
		c.acr.Entra().SetLife(o.entra)
	}
	c.environment()
	c.how = c.options(o.each)
	set, err := policy.Parse("test.yaml", fmt.Appendf(nil, `
registries:
  src: {host: %q, provider: ecr, plainHTTP: true}
  gar: {host: %q, provider: gar, plainHTTP: true}
  acr: {host: %q, provider: acr, plainHTTP: true}
rules:
  - name: all
    from: {registry: src}
    to:
      - {registry: gar, repository: "%s{{.Repository}}"}
      - {registry: acr, repository: "%s{{.Repository}}"}
`, c.ecr.Host(), c.gar.Host(), c.acr.Host(), garPrefix, acrPrefix))
	if err != nil {
		t.Fatal(err)
	}
	c.set, c.path = set, filepath.Join(t.TempDir(), "state.db")
	c.start()
	return c
}

// start is a process that knows what is in the state, and nobody's tokens.
func (c *clouds) start() {
	c.t.Helper()
	for name, provider := range map[string]string{"src": "ecr", "gar": "gar", "acr": "acr"} {
		reg, err := all.Open(provider, c.how[name])
		if err != nil {
			c.t.Fatal(err)
		}
		c.t.Cleanup(func() { reg.Close() })
		c.clients[name] = reg
	}
	c.openState(c.path)
}

// restart ends the process and starts another; calls are counted anew.
func (c *clouds) restart() {
	c.t.Helper()
	if err := errors.Join(c.Engine.Close(), c.state.Close()); err != nil {
		c.t.Fatal(err)
	}
	c.resetCalls()
	c.start()
}

// environment points the clouds' tools at the emulators, as their own variables do.
func (c *clouds) environment() {
	k := c.ecr.IAM().User("sync")
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": k.ID, "AWS_SECRET_ACCESS_KEY": k.Secret, "AWS_SESSION_TOKEN": "",
		"AWS_PROFILE": "", "AWS_CONFIG_FILE": "/none", "AWS_SHARED_CREDENTIALS_FILE": "/none",
		"AWS_ENDPOINT_URL_ECR": c.ecr.Endpoint(), "AWS_ENDPOINT_URL_STS": c.ecr.Endpoint(),
		"CLOUDSDK_API_ENDPOINT_OVERRIDES_ARTIFACTREGISTRY": c.gar.Endpoint(),
		"CLOUDSDK_ARTIFACTS_LOCATION":                      c.gar.Location(),
		"AZURE_AUTHORITY_HOST":                             c.acr.Entra().URL(),
	} {
		c.t.Setenv(name, value)
	}
}

// options are how the registries are opened: with an access key, a service
// account's key file, and a service principal's secret.
func (c *clouds) options(each func(*all.Options)) map[string]all.Options {
	c.t.Helper()
	dir := c.t.TempDir()
	write := func(name string, raw []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, raw, 0o600); err != nil {
			c.t.Fatal(err)
		}
		return path
	}
	src := all.Options{Host: c.ecr.Host(), PlainHTTP: true}
	src.ECR.Region = c.ecr.Region()
	gar := all.Options{Host: c.gar.Host(), PlainHTTP: true, Push: true}
	gar.GAR.CredentialsFile = write("key.json", c.gar.KeyFile(c.gar.IAM().Account("sync")))
	app := c.acr.Entra().App("sync")
	c.acr.Assign(app.ClientID, acrtest.AcrPush)
	acr := all.Options{Host: c.acr.Host(), PlainHTTP: true, Push: true, CAFile: write("entra.pem", c.acr.Entra().CA())}
	acr.ACR = all.ACRIdentity{Credential: "servicePrincipal", TenantID: app.Tenant, ClientID: app.ClientID,
		ClientSecret: func() (string, error) { return app.Secret, nil }}
	if each != nil {
		for _, o := range []*all.Options{&src, &gar, &acr} {
			each(o)
		}
	}
	return map[string]all.Options{"src": src, "gar": gar, "acr": acr}
}

// premium is the rate of a registry that takes more than one of the Basic tier, so
// that a test does not wait for the minute to pass.
func premium(o *cloudOptions) {
	o.acr = func(q *acrtest.Quirks) { q.Writes, q.Reads = 200_000, 200_000 }
	o.each = func(o *all.Options) {
		o.Quotas = map[string]providers.Rate{}
		if o.ACR.ClientID != "" {
			o.Quotas["WriteOps"] = providers.Rate{N: 100_000, Per: time.Minute}
			o.Quotas["ReadOps"] = providers.Rate{N: 100_000, Per: time.Minute}
		}
	}
}

// put loads an image into the source and, where targets already have it, there.
func (c *clouds) put(targets bool, repo string, m *content.Manifest, tags ...string) {
	c.t.Helper()
	load := map[string]func(string, *content.Manifest, ...string) error{repo: c.ecr.Load}
	if targets {
		load[garPrefix+repo], load[acrPrefix+repo] = c.gar.Load, c.acr.Load
	}
	for repo, load := range load {
		if err := load(repo, m, tags...); err != nil {
			c.t.Fatal(err)
		}
	}
}

// same wants both targets to be complete and equal to the source, to the last byte.
func (c *clouds) same() {
	c.t.Helper()
	for name, prefix := range map[string]string{"gar": garPrefix, "acr": acrPrefix} {
		if err := registrytest.Equal(c.servers["src"], c.servers[name], func(repo string) string { return prefix + repo }); err != nil {
			c.t.Errorf("%s: %v", name, err)
		}
		if err := c.servers[name].VerifyAll(); err != nil {
			c.t.Errorf("%s: %v", name, err)
		}
	}
}

// lists counts the calls that list: the API's, and those to the registry.
func (c *clouds) lists(counts map[string]registrytest.Counts) map[string]int64 {
	sum := func(calls map[string]int64, names ...string) (n int64) {
		for _, name := range names {
			n += calls[name]
		}
		return n
	}
	return map[string]int64{
		"src": sum(c.ecr.Calls(), "DescribeRepositories", "DescribeImages", "ListImages"),
		"gar": sum(c.gar.Calls(), "ListRepositories", "ListPackages", "ListVersions", "ListTags", "ListDockerImages") + counts["gar"].Of(registrytest.Tags),
		"acr": sum(c.acr.Calls(), "catalog", "tags", "manifests"),
	}
}

func (c *clouds) resetCalls() {
	c.ecr.ResetCalls()
	c.gar.ResetCalls()
	c.acr.ResetCalls()
	c.entraBefore = c.acr.Entra().Calls()["secret"]
}

// signIns wants each cloud to have been asked for an identity three times at most
// since the calls were counted anew; it returns how many tokens ACR gave.
func (c *clouds) signIns() (tokens int64) {
	c.t.Helper()
	e, g, a := c.ecr.Calls(), c.gar.Calls(), c.acr.Calls()
	entra := c.acr.Entra().Calls()["secret"] - c.entraBefore
	c.t.Logf("sign-ins: ECR %d registry tokens, %d of STS; Google %d; Entra %d, ACR %d exchanges and %d tokens",
		e["GetAuthorizationToken"], e["GetCallerIdentity"]+e["AssumeRole"], g["Token"], entra, a["exchange"], a["token"])
	if n := e["GetAuthorizationToken"] + e["AssumeRole"]; n > 3 {
		c.t.Errorf("ECR: %d exchanges", n)
	}
	if n := g["Token"] + g["Exchange"] + g["GenerateAccessToken"]; n > 3 {
		c.t.Errorf("Artifact Registry: %d exchanges", n)
	}
	if n := entra + a["exchange"]; n > 3 {
		c.t.Errorf("ACR: %d exchanges", n)
	}
	return a["token"]
}

// TestCloudsFirstSync: indexes, referrers of referrers, cosign's tags and shared
// layers come to both clouds to the last byte, and every layer leaves the source once.
func TestCloudsFirstSync(t *testing.T) {
	var o cloudOptions
	if !long {
		premium(&o)
	}
	c := newClouds(t, o)
	var corpus content.Corpus
	for _, e := range content.Baseline(4, 0.001) {
		if long || strings.HasPrefix(e.Repo, "team-1/") {
			corpus = append(corpus, e)
			c.put(false, e.Repo, e.Manifest, e.Tags...)
		}
	}
	reports, counts := c.pass()
	c.fine(reports)
	c.same()
	shape := corpus.Shape()
	if src := counts["src"]; src.BytesOut != shape.UniqueBytes || src.Of(registrytest.BlobGet) != int64(shape.Blobs) {
		t.Errorf("the source gave %d bytes of %d\n%s", src.BytesOut, shape.UniqueBytes, src)
	}
	if n := c.signIns(); n > int64(shape.Repositories/20+2) {
		t.Errorf("ACR gave %d tokens for %d repositories", n, shape.Repositories)
	}
	if _, ok := c.gar.Settings("acme/mirror"); !ok || c.gar.Calls()["CreateRepository"] != 1 {
		t.Errorf("the repository of Artifact Registry was made %d times", c.gar.Calls()["CreateRepository"])
	}
	again, counts := c.pass()
	c.fine(again)
	for name, n := range counts {
		if n.Writes() != 0 || n.Of(registrytest.ManifestGet, registrytest.ManifestHead, registrytest.Referrers) != 0 {
			t.Errorf("nothing changed, and %s was asked\n%s", name, n)
		}
	}
}

// TestCloudsUnchanged: a pass over tags that did not change asks each side for lists
// only: one for each thousand rows and one for each repository. By default 2,000 tags
// in 20 repositories, with TRANSSHIP_LONG=1 100,000 in 1,000.
func TestCloudsUnchanged(t *testing.T) {
	repos, tags := scale(Fewer(20, 5), 1000), 100
	c := newClouds(t, cloudOptions{})
	var most int64
	for i := range repos {
		repo := fmt.Sprintf("team-%02d/app-%04d", i%20, i)
		rows := c.hundred(i != 1, repo, tags)
		most += int64(rows/1000 + 1)
	}
	c.put(true, "big/app", content.Image("big", nil), "v")
	for i := range 1100 {
		c.put(true, "big/app", content.Image(fmt.Sprint("big", i), nil), fmt.Sprint("v", i))
	}
	most += 1101/1000 + 1 + int64(repos/1000+1) // and the catalog
	reports, _ := c.pass()                      // state learns what is there
	c.fine(reports)
	c.restart()
	start := time.Now()
	reports, counts := c.pass()
	c.fine(reports)
	t.Logf("%d tags in %d repositories, unchanged: %v", repos*tags+1101, repos+1, time.Since(start))
	for name, lists := range c.lists(counts) {
		n := counts[name]
		t.Logf("%s: %d lists, at most %d\n%s", name, lists, most, n)
		if asked := n.Total() - n.Of(registrytest.Tags, registrytest.Other); lists > most || asked != 0 {
			t.Errorf("%s: %d lists of at most %d, and %d requests beside", name, lists, most, asked)
		}
	}
	if n := c.signIns(); n > int64(repos/20+2) {
		t.Errorf("ACR gave %d tokens for %d repositories", n, repos)
	}
	c.one(most)
}

// hundred fills a repository: images and indexes of two tags each, a signature of
// one; it returns how many rows that is.
func (c *clouds) hundred(targets bool, repo string, tags int) (rows int) {
	base := content.Layer(repo, 100)
	for j := range tags / 2 {
		m := content.Image(fmt.Sprint(repo, j), []content.Blob{base})
		rows++
		if j%10 == 9 {
			m = content.Index([]*content.Manifest{m, content.Image(fmt.Sprint(repo, j, "arm"), []content.Blob{base})})
			rows += 2
		}
		c.put(targets, repo, m, fmt.Sprint("v", j), fmt.Sprint("w", j))
	}
	c.put(targets, repo, content.Image("sig", nil, content.Subject(content.Image(fmt.Sprint(repo, 0), []content.Blob{base}))))
	return rows + 1
}

// one adds one tag: it costs the lists, and what its image needs.
func (c *clouds) one(most int64) {
	const repo = "team-01/app-0001" // which a pass has copied
	c.t.Helper()
	layer := content.Layer("new", 200)
	m := content.Image("new", []content.Blob{content.Layer(repo, 100), layer})
	c.put(false, repo, m, "new")
	c.resetCalls()
	reports, counts := c.pass()
	c.fine(reports)
	c.same()
	for name, lists := range c.lists(counts) {
		if lists > most {
			c.t.Errorf("%s: %d lists of at most %d", name, lists, most)
		}
	}
	src := counts["src"]
	if src.Of(registrytest.ManifestGet) != 1 || src.Of(registrytest.BlobGet) != 2 || src.Total() != 3 {
		c.t.Errorf("one tag more took at the source\n%s", src)
	}
	for _, name := range []string{"gar", "acr"} {
		n := counts[name]
		if n.Of(registrytest.ManifestPut) != 1 || n.Of(registrytest.UploadPut) != 2 || n.Writes() != 5 || n.Of(registrytest.ManifestHead, registrytest.ManifestGet, registrytest.BlobHead) != 0 {
			c.t.Errorf("one tag more took at %s\n%s", name, n)
		}
	}
}

// TestCloudsLongCopy: a copy that lasts longer than every token of all three clouds
// goes on without a failure and without a second read of the source.
func TestCloudsLongCopy(t *testing.T) {
	life := 2 * time.Second // what Google and Azure say in whole seconds
	var o cloudOptions
	premium(&o)
	o.ecr = func(q *ecrtest.Quirks) { q.TokenLife = life }
	o.gar = func(q *gartest.Quirks) { q.TokenLife = life }
	fast := o.acr
	o.acr = func(q *acrtest.Quirks) { fast(q); q.RefreshLife, q.AccessLife = life, life }
	o.entra = life
	o.wire = func(q *registrytest.Quirks) { q.BytesPerSecond = 1 << 20 }
	quick := o.each
	o.each = func(o *all.Options) { quick(o); o.Width = 1 } // one request after the other
	c := newClouds(t, o)
	var unique int64
	for i := range scale(5, 20) {
		m := content.Image(fmt.Sprint(i), []content.Blob{content.Layer(fmt.Sprint("layer ", i), 1<<20)})
		c.put(false, "team/app", m, fmt.Sprint("v", i))
		for _, b := range m.Blobs {
			unique += b.Size
		}
	}
	reports, counts := c.pass()
	c.fine(reports)
	c.same()
	for name, want := range map[string]registrytest.Counts{"src": {BytesOut: unique}, "gar": {BytesIn: unique}, "acr": {BytesIn: unique}} {
		if n := counts[name]; n.BytesOut != want.BytesOut || n.BytesIn != want.BytesIn {
			t.Errorf("%s: %d bytes were read and %d written, of %d\n%s", name, n.BytesOut, n.BytesIn, unique, n)
		}
	}
	e, g, a := c.ecr.Calls()["GetAuthorizationToken"], c.gar.Calls()["Token"], c.acr.Calls()
	t.Logf("ECR %d, Artifact Registry %d, ACR %v", e, g, a)
	if e < 3 || g < 3 || a["exchange"] < 2 || a["token"] < 3 {
		t.Errorf("the copy did not outlast the tokens: ECR %d, Artifact Registry %d, ACR %v", e, g, a)
	}
}
