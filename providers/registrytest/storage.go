package registrytest

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"sync"

	"github.com/distribution/distribution/v3/configuration"
	"github.com/distribution/distribution/v3/registry/handlers"
	storagedriver "github.com/distribution/distribution/v3/registry/storage/driver"
	"github.com/distribution/distribution/v3/registry/storage/driver/factory"
	"github.com/sirupsen/logrus"

	"github.com/transship/transship/providers/registrytest/content"
)

// A backend is distribution in process: its upload and mount handlers are used
// as they are, and what they stored is read straight from the driver.
type backend struct {
	app    *handlers.App
	driver *driver
}

// newBackend starts distribution over d. Its locations are relative, so that the
// front can make of them what it likes.
func newBackend(d *driver) *backend {
	registerDriver()
	config := &configuration.Configuration{Storage: configuration.Storage{
		driverName:    configuration.Parameters{"driver": d},
		"delete":      configuration.Parameters{"enabled": true},
		"maintenance": configuration.Parameters{"uploadpurging": map[any]any{"enabled": false}},
	}}
	config.HTTP.Secret = secret()
	config.HTTP.RelativeURLs = true
	config.Catalog.MaxEntries = 1000
	config.Tags.MaxTags = 1000
	return &backend{app: handlers.NewApp(context.Background(), config), driver: d}
}

// close leaves one goroutine parked, which distribution starts for notifications
// and has no way to end; it holds none of the storage.
func (b *backend) close() {
	_ = b.app.Shutdown()
	b.driver.close()
}

const driverName = "registrytest"

// registerDriver tells distribution of our driver, and its logger to be silent:
// both are global there, so it happens once in a process.
var registerDriver = sync.OnceFunc(func() {
	factory.Register(driverName, driverFactory{})
	logrus.SetOutput(io.Discard)
	logrus.SetLevel(logrus.PanicLevel)
})

// A driverFactory hands back the driver that it is given.
type driverFactory struct{}

func (driverFactory) Create(_ context.Context, parameters map[string]any) (storagedriver.StorageDriver, error) {
	d, ok := parameters["driver"].(*driver)
	if !ok {
		return nil, fmt.Errorf("storage %s: no driver among its parameters", driverName)
	}
	return d, nil
}

func secret() string {
	var random [32]byte
	_, _ = rand.Read(random[:]) // never fails
	return hex.EncodeToString(random[:])
}

// ServeHTTP answers as distribution does.
func (b *backend) ServeHTTP(w http.ResponseWriter, r *http.Request) { b.app.ServeHTTP(w, r) }

// Where distribution keeps a blob's bytes, and the link that says that a
// repository has it (registry/storage/paths.go there).
const storageRoot = "/docker/registry/v2"

func blobPath(digest string) string {
	algorithm, encoded := split(digest)
	return fmt.Sprintf("%s/blobs/%s/%.2s/%s/data", storageRoot, algorithm, encoded, encoded)
}

func linkPath(repo, digest string) string {
	algorithm, encoded := split(digest)
	return fmt.Sprintf("%s/repositories/%s/_layers/%s/%s/link", storageRoot, repo, algorithm, encoded)
}

func layersPath(repo string) string {
	return fmt.Sprintf("%s/repositories/%s/_layers/sha256", storageRoot, repo)
}

// blob returns the bytes of a blob that repo has.
func (b *backend) blob(repo, digest string) (data, bool) {
	if _, linked := b.driver.get(linkPath(repo, digest)); !linked {
		return nil, false
	}
	return b.driver.get(blobPath(digest))
}

// put stores a blob's bytes, unless they are there, and links them in repo.
func (b *backend) put(repo string, blob content.Blob) error {
	digest := blob.Digest.String()
	if _, ok := b.driver.get(blobPath(digest)); !ok {
		stored, err := b.store(blob)
		if err != nil {
			return fmt.Errorf("store blob %s: %w", digest, err)
		}
		b.driver.set(blobPath(digest), stored)
	}
	return b.driver.PutContent(context.Background(), linkPath(repo, digest), []byte(digest))
}

// store keeps a copy of the blob's bytes, unless they are made on the fly or are
// in memory already and never change.
func (b *backend) store(blob content.Blob) (data, error) {
	if _, inMemory := blob.Content.(*bytes.Reader); inMemory || blob.Generated {
		return lent{ReaderAt: blob.Content, size: blob.Size}, nil
	}
	stored := b.driver.newData()
	_, err := io.Copy(stored, io.NewSectionReader(blob.Content, 0, blob.Size))
	return stored, err
}

// A lent blob has no bytes of its own and cannot be written.
type lent struct {
	io.ReaderAt
	size int64
}

func (l lent) Size() int64               { return l.size }
func (l lent) drop()                     {}
func (l lent) Write([]byte) (int, error) { return 0, fmt.Errorf("a lent blob is read only") }
