package limit

import (
	"context"
	"slices"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/transship/transship/providers"
)

// Shares of a published quota that requests keep within. Others use it, too, and
// hosts count in windows that are not ours: it begins low, grows as long as
// nothing is refused, and falls with each refusal. What the policy states is ours
// alone and used in full.
const (
	shareStart = 0.80
	shareMost  = 0.95
	shareLeast = 0.10
	shareGrows = 0.01 // a second in which the quota is used
	shareFalls = 0.80 // times, at most once a second
	shareBurst = 0.05 // of N at once after a pause
)

// Quotas keep requests within what a host publishes per operation. Their methods
// are safe for concurrent use; a nil Quotas bounds nothing.
type Quotas struct {
	watch Watch
	among *Among

	mu        sync.Mutex
	published []providers.RateQuota
	pools     map[poolKey]*pool
}

type poolKey struct {
	quota int
	key   string // who shares it, as RateQuota.Key says
}

// NewQuotas returns those that keep requests within published, and tell w of waits. A
// are those who have them together; nil is one alone.
func NewQuotas(published []providers.RateQuota, w Watch, a *Among) *Quotas {
	if len(published) == 0 {
		return nil
	}
	return &Quotas{published: published, watch: w, among: a, pools: map[poolKey]*pool{}}
}

// Set has requests keep within published from here on. What was learned of a quota
// stays, if its figure is the one that it was.
func (q *Quotas) Set(published []providers.RateQuota) {
	if q == nil {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	for at := range q.pools {
		if at.quota >= len(published) || !same(published[at.quota], q.published[at.quota]) {
			delete(q.pools, at)
		}
	}
	q.published = published
}

// same reports whether two quotas count the same in the same way.
func same(a, b providers.RateQuota) bool {
	return a.Name == b.Name && a.N == b.N && a.Per == b.Per && a.Prefix == b.Prefix && a.Stated == b.Stated && slices.Equal(a.Ops, b.Ops)
}

// Take waits until one request of op about repo may begin under every quota that
// counts it. The error is the cause of ctx's end, or DeadlineExceeded at once
// when the wait would outlast ctx.
func (q *Quotas) Take(ctx context.Context, op, repo string) error {
	start := time.Now()
	pools := q.of(op, repo)
	for _, p := range pools {
		if err := take(ctx, p.now(), 1); err != nil {
			return err
		}
	}
	if len(pools) > 0 {
		q.watch.Since(ForQuota, start)
	}
	return context.Cause(ctx)
}

// Refused says that the host refused such a request for a quota.
func (q *Quotas) Refused(op, repo string) {
	for _, p := range q.of(op, repo) {
		p.refused()
	}
}

// Share is the share of the named quota that its requests keep within now, for
// the repository; 0 where there is none.
func (q *Quotas) Share(name, repo string) float64 {
	if q == nil {
		return 0
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	for i, rule := range q.published {
		if rule.Name == name {
			p := q.pool(i, rule.Key(repo))
			p.mu.Lock()
			defer p.mu.Unlock()
			return p.share
		}
	}
	return 0
}

// Least is, of each quota by name, the least share that those who have one of their
// own keep within; of those in use only.
func (q *Quotas) Least() map[string]float64 {
	if q == nil {
		return nil
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	least := map[string]float64{}
	for at, p := range q.pools {
		p.mu.Lock()
		share := p.share
		p.mu.Unlock()
		name := q.published[at.quota].Name
		if l, ok := least[name]; !ok || share < l {
			least[name] = share
		}
	}
	return least
}

// of are the pools that count op about repo.
func (q *Quotas) of(op, repo string) (list []*pool) {
	if q == nil {
		return nil
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	for i, rule := range q.published {
		if rule.Counts(op) {
			list = append(list, q.pool(i, rule.Key(repo)))
		}
	}
	return list
}

// pool returns the pool of those who share a quota by key. The caller holds q.mu.
func (q *Quotas) pool(i int, key string) *pool {
	at := poolKey{i, key}
	if q.pools[at] == nil {
		q.pools[at] = newPool(q.published[i], q.among)
	}
	return q.pools[at]
}

// A pool is one quota of those who share it.
type pool struct {
	perSecond float64 // published
	burst     float64
	stated    bool
	among     *Among

	mu     sync.Mutex
	bucket *rate.Limiter
	share  float64
	parts  int       // by how many it is divided now
	used   time.Time // last
	fell   time.Time // last
}

func newPool(rule providers.RateQuota, a *Among) *pool {
	p := &pool{perSecond: rule.N / rule.Per.Seconds(), burst: rule.N * shareBurst, share: shareStart, stated: rule.Stated, among: a}
	if p.stated {
		p.share = 1
	}
	p.parts = a.N()
	p.bucket = bucket(p.perSecond*p.share/float64(p.parts), p.burst/float64(p.parts))
	return p
}

// now returns the bucket, widened by the time that the quota was in use.
func (p *pool) now() *rate.Limiter {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if n := p.among.N(); n != p.parts {
		p.divide(n)
	}
	if !p.used.IsZero() && !p.stated {
		used := min(now.Sub(p.used), time.Second).Seconds()
		p.set(min(p.share+shareGrows*used, max(p.share, shareMost)))
	}
	p.used = now
	return p.bucket
}

func (p *pool) refused() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now := time.Now(); now.Sub(p.fell) >= time.Second {
		p.fell = now
		p.set(max(p.share*shareFalls, shareLeast))
	}
}

func (p *pool) set(share float64) {
	if share != p.share {
		p.share = share
		p.bucket.SetLimit(rate.Limit(p.perSecond * share / float64(p.parts)))
	}
}

// divide has the bucket keep to one of n parts.
func (p *pool) divide(n int) {
	p.parts = n
	reset(p.bucket, p.perSecond*p.share/float64(n), p.burst/float64(n))
}
