package registrytest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// Counts is what a server saw since it started or was reset: requests by class,
// bytes of blob bodies, connections. Manifests and error bodies are not in the bytes.
type Counts struct {
	Requests       map[Class]int64 // whatever the answer
	Errors         map[Class]int64 // those of Requests that were answered 400 and above, or broken off
	Status         map[int]int64
	MountsAccepted int64
	MountsRefused  int64 // answered otherwise than 201; mounts that were made to fail are in Errors only

	BytesOut int64 // blob bodies as they were written to the connection
	BytesIn  int64 // upload bodies as they were read from it

	Connections        int64 // opened, to the registry
	StorageConnections int64 // opened, to the storage host
	TokenConnections   int64 // opened, to the token service

	Repos   map[string]Traffic
	Digests map[string]Traffic // by blob digest, "sha256:…"
}

// Traffic is what went through one repository or with one blob.
type Traffic struct {
	Reads    int64 // blob GETs that were answered with the body or a part of it
	BytesOut int64
	Uploads  int64 // committed
	BytesIn  int64 // of a digest: of the uploads that were committed
	Mounts   int64 // accepted
}

// Total is the number of requests to the registry itself: without pings, tokens
// and what redirects led to, which have columns of their own.
func (c Counts) Total() int64 {
	var n int64
	for class, k := range c.Requests {
		if class != Ping && class != Token && class != Storage {
			n += k
		}
	}
	return n
}

// Of sums the requests of some classes.
func (c Counts) Of(classes ...Class) int64 {
	var n int64
	for _, class := range classes {
		n += c.Requests[class]
	}
	return n
}

// Writes is the number of requests that wanted to change the registry.
func (c Counts) Writes() int64 {
	var n int64
	for class, k := range c.Requests {
		if class.write() {
			n += k
		}
	}
	return n
}

// Sub returns what came after before.
func (c Counts) Sub(before Counts) Counts {
	c.Requests = sub(c.Requests, before.Requests)
	c.Errors = sub(c.Errors, before.Errors)
	c.Status = sub(c.Status, before.Status)
	c.MountsAccepted -= before.MountsAccepted
	c.MountsRefused -= before.MountsRefused
	c.BytesOut -= before.BytesOut
	c.BytesIn -= before.BytesIn
	c.Connections -= before.Connections
	c.StorageConnections -= before.StorageConnections
	c.TokenConnections -= before.TokenConnections
	c.Repos = subTraffic(c.Repos, before.Repos)
	c.Digests = subTraffic(c.Digests, before.Digests)
	return c
}

func sub[K comparable](now, before map[K]int64) map[K]int64 {
	diff := map[K]int64{}
	for k, n := range now {
		if n -= before[k]; n != 0 {
			diff[k] = n
		}
	}
	return diff
}

func subTraffic(now, before map[string]Traffic) map[string]Traffic {
	diff := map[string]Traffic{}
	for k, n := range now {
		b := before[k]
		t := Traffic{n.Reads - b.Reads, n.BytesOut - b.BytesOut, n.Uploads - b.Uploads, n.BytesIn - b.BytesIn, n.Mounts - b.Mounts}
		if t != (Traffic{}) {
			diff[k] = t
		}
	}
	return diff
}

// String is a table: one line a class that occurred, then the sums.
func (c Counts) String() string {
	var b strings.Builder
	for _, class := range Classes() {
		if n := c.Requests[class]; n > 0 {
			fmt.Fprintf(&b, "%-16s%7d", class, n)
			if e := c.Errors[class]; e > 0 {
				fmt.Fprintf(&b, "  %d failed", e)
			}
			if class == Mount {
				fmt.Fprintf(&b, "  %d mounted, %d refused", c.MountsAccepted, c.MountsRefused)
			}
			b.WriteByte('\n')
		}
	}
	fmt.Fprintf(&b, "%-16s%7d\n", "all of the API", c.Total())
	fmt.Fprintf(&b, "bytes out %d, in %d; connections %d, to storage %d, to tokens %d",
		c.BytesOut, c.BytesIn, c.Connections, c.StorageConnections, c.TokenConnections)
	return b.String()
}

// A counter is the running Counts. Safe for concurrent use; bytes are counted as
// they move, so that a snapshot in the middle of a transfer is right.
type counter struct {
	out, in                     atomic.Int64
	conns, storageConns, tokens atomic.Int64

	mu sync.Mutex
	c  Counts
}

func newCounter() *counter {
	n := &counter{}
	n.reset()
	return n
}

func (n *counter) reset() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.c = Counts{
		Requests: map[Class]int64{}, Errors: map[Class]int64{}, Status: map[int]int64{},
		Repos: map[string]Traffic{}, Digests: map[string]Traffic{},
	}
	for _, a := range []*atomic.Int64{&n.out, &n.in, &n.conns, &n.storageConns, &n.tokens} {
		a.Store(0)
	}
}

func (n *counter) snapshot() Counts {
	n.mu.Lock()
	defer n.mu.Unlock()
	c := n.c
	c.Requests, c.Errors, c.Status = maps.Clone(c.Requests), maps.Clone(c.Errors), maps.Clone(c.Status)
	c.Repos, c.Digests = maps.Clone(c.Repos), maps.Clone(c.Digests)
	c.BytesOut, c.BytesIn = n.out.Load(), n.in.Load()
	c.Connections, c.StorageConnections, c.TokenConnections = n.conns.Load(), n.storageConns.Load(), n.tokens.Load()
	return c
}

// begin counts a request as it arrives.
func (n *counter) begin(class Class) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.c.Requests[class]++
}

// answered counts what is known once a status is, before the client can see it: a
// client that has its answer finds it counted.
func (n *counter) answered(x *exchange) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.c.Status[x.status]++
	if x.status >= 400 {
		n.c.Errors[x.class]++
	}
	did := Traffic{}
	switch {
	case x.blob && x.status < 300:
		did.Reads = 1
	case x.class == UploadPut && x.status == 201:
		did.Uploads = 1
	case x.class == Mount && x.status == 201:
		did.Mounts = 1
		n.c.MountsAccepted++
	case x.class == Mount && !x.fault:
		n.c.MountsRefused++
	}
	n.add(n.c.Repos, x.repo, did)
	did.BytesIn = x.received
	n.add(n.c.Digests, x.digest, did)
}

// ended counts the requests that were broken off.
func (n *counter) ended(x *exchange) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if x.broken && x.status < 400 {
		n.c.Errors[x.class]++
	}
}

// sent counts bytes of a blob before they are written; those that were not in
// the end are taken back by a negative number.
func (n *counter) sent(x *exchange, bytes int) {
	n.out.Add(int64(bytes))
	n.mu.Lock()
	defer n.mu.Unlock()
	n.add(n.c.Repos, x.repo, Traffic{BytesOut: int64(bytes)})
	n.add(n.c.Digests, x.digest, Traffic{BytesOut: int64(bytes)})
}

// took counts bytes of an upload as they are read.
func (n *counter) took(x *exchange, bytes int) {
	n.in.Add(int64(bytes))
	n.mu.Lock()
	defer n.mu.Unlock()
	n.add(n.c.Repos, x.repo, Traffic{BytesIn: int64(bytes)})
}

func (n *counter) add(to map[string]Traffic, key string, more Traffic) {
	if key == "" || more == (Traffic{}) {
		return
	}
	t := to[key]
	t.Reads += more.Reads
	t.BytesOut += more.BytesOut
	t.Uploads += more.Uploads
	t.BytesIn += more.BytesIn
	t.Mounts += more.Mounts
	to[key] = t
}

// Busiest lists the digests that were read most often, most first: for messages
// of tests that wanted each to be read once.
func (c Counts) Busiest() []string {
	digests := slices.Collect(maps.Keys(c.Digests))
	slices.SortFunc(digests, func(a, b string) int {
		return int(c.Digests[b].Reads-c.Digests[a].Reads)*2 + strings.Compare(a, b)
	})
	return digests
}
