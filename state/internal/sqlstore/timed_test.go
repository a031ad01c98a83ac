package sqlstore_test

import (
	"cmp"
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A timer takes the time of each statement that goes through it, or of each question
// as a whole: on the clock, and of the processors, which does not count who else had
// them meanwhile.
type timer struct {
	processes func() []int // whose processor time counts; nil is this process

	pids []int // what processes told before the question

	mu   sync.Mutex
	took map[string][]cost // by statement
}

// A cost is what one statement took.
type cost struct{ clock, cpu time.Duration }

// pool is db with a timer before each of its connections. It is to be closed before
// db, whose connections it holds.
func (t *timer) pool(db *sql.DB, width int) *sql.DB {
	p := sql.OpenDB(&timedConnector{t, db})
	p.SetMaxOpenConns(width)
	p.SetMaxIdleConns(width)
	return p
}

// start begins to time a statement; what it returns ends that.
func (t *timer) start(text string) func() {
	clock, cpu := time.Now(), t.cpu()
	return sync.OnceFunc(func() {
		c := cost{time.Since(clock), t.cpu() - cpu}
		t.mu.Lock()
		defer t.mu.Unlock()
		t.took[text] = append(t.took[text], c)
	})
}

// whole begins to time a question as a whole, where the processor time of others
// counts; what it returns ends that.
func (t *timer) whole(name string) func() {
	if t.processes == nil {
		return func() {}
	}
	t.pids = t.processes()
	return t.start(name)
}

// cpu is the processor time of who answers: the database's processes, or this one
// where the database is in it.
func (t *timer) cpu() (sum time.Duration) {
	if t.processes == nil {
		var used syscall.Rusage
		_ = syscall.Getrusage(syscall.RUSAGE_SELF, &used)
		return time.Duration(used.Utime.Nano() + used.Stime.Nano())
	}
	for _, pid := range t.pids {
		raw, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/schedstat") // it may have ended
		ran, _, _ := strings.Cut(string(raw), " ")
		ns, _ := strconv.ParseInt(ran, 10, 64)
		sum += time.Duration(ns)
	}
	return sum
}

type timedConnector struct {
	t  *timer
	db *sql.DB
}

func (c *timedConnector) Driver() driver.Driver { return c.db.Driver() }

// Connect takes a connection out of the pool until it is closed.
func (c *timedConnector) Connect(ctx context.Context) (driver.Conn, error) {
	held, err := c.db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	timed := &timedConn{t: c.t, held: held}
	err = held.Raw(func(inner any) error {
		timed.Conn = inner.(driver.Conn)
		return nil
	})
	return timed, err
}

type timedConn struct {
	driver.Conn
	t    *timer
	held *sql.Conn
}

func (c *timedConn) Close() error { return c.held.Close() }

func (c *timedConn) BeginTx(ctx context.Context, o driver.TxOptions) (driver.Tx, error) {
	defer c.t.start("BEGIN")()
	tx, err := c.Conn.(driver.ConnBeginTx).BeginTx(ctx, o)
	return timedTx{tx, c.t}, err
}

type timedTx struct {
	driver.Tx
	t *timer
}

func (tx timedTx) Commit() error {
	defer tx.t.start("COMMIT")()
	return tx.Tx.Commit()
}

func (c *timedConn) ExecContext(ctx context.Context, text string, args []driver.NamedValue) (driver.Result, error) {
	defer c.t.start(text)()
	return c.Conn.(driver.ExecerContext).ExecContext(ctx, text, args)
}

func (c *timedConn) QueryContext(ctx context.Context, text string, args []driver.NamedValue) (driver.Rows, error) {
	done := c.t.start(text)
	rows, err := c.Conn.(driver.QueryerContext).QueryContext(ctx, text, args)
	return timedRows{rows, done}, err
}

func (c *timedConn) PrepareContext(ctx context.Context, text string) (driver.Stmt, error) {
	s, err := c.Conn.(driver.ConnPrepareContext).PrepareContext(ctx, text)
	return timedStmt{s, c.t, text}, err
}

func (c *timedConn) CheckNamedValue(v *driver.NamedValue) error {
	if inner, ok := c.Conn.(driver.NamedValueChecker); ok {
		return inner.CheckNamedValue(v)
	}
	return driver.ErrSkip
}

// timedRows count until their end has been read.
type timedRows struct {
	driver.Rows
	done func()
}

func (r timedRows) Close() error {
	defer r.done()
	return r.Rows.Close()
}

type timedStmt struct {
	driver.Stmt
	t    *timer
	text string
}

func (s timedStmt) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	defer s.t.start(s.text)()
	return s.Stmt.(driver.StmtExecContext).ExecContext(ctx, args)
}

// mostCPU is what no statement of a pass may take.
const mostCPU = 50 * time.Millisecond

// tell prints what statements took, those first that took longest. In a long run it
// fails if one in a hundred runs of one took more than a query may.
func (t *timer) tell(tt *testing.T) {
	t.mu.Lock()
	defer t.mu.Unlock()
	most := mostCPU
	if t.processes != nil {
		most *= 3 // 500 are asked for in three lists
	}
	byKind := map[string][]cost{}
	for text, costs := range t.took {
		byKind[kind(text)] = append(byKind[kind(text)], costs...)
	}
	type line struct {
		text string
		p99  time.Duration
	}
	var lines []line
	for k, costs := range byKind {
		clock, cpu := quantiles(costs, func(c cost) time.Duration { return c.clock }), quantiles(costs, func(c cost) time.Duration { return c.cpu })
		if cpu[1] > most && os.Getenv("TRANSSHIP_LONG") == "1" {
			tt.Errorf("%s: %v of processor time", k, cpu)
		}
		lines = append(lines, line{fmt.Sprintf("%6d × clock %.2f / %.2f / %.2f, cpu %.2f / %.2f / %.2f ms: %s", len(costs),
			ms(clock[0]), ms(clock[1]), ms(clock[2]), ms(cpu[0]), ms(cpu[1]), ms(cpu[2]), k), cpu[1]})
	}
	slices.SortFunc(lines, func(a, b line) int { return cmp.Compare(b.p99, a.p99) })
	tt.Log("p50 / p99 / most")
	for _, l := range lines[:min(len(lines), 15)] {
		tt.Log(l.text)
	}
}

// kind is what statements have in common whose lists differ in length.
func kind(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	head, _, _ := strings.Cut(text, " VALUES ")
	return head[:min(len(head), 120)]
}

// quantiles are the median, the 99th and the most.
func quantiles(costs []cost, of func(cost) time.Duration) [3]time.Duration {
	var list []time.Duration
	for _, c := range costs {
		list = append(list, of(c))
	}
	slices.Sort(list)
	return [3]time.Duration{list[len(list)/2], list[len(list)*99/100], list[len(list)-1]}
}
