package postgres

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/transship/transship/state/postgres/pgtest"
)

// A pooler is a small PgBouncer in transaction mode: clients share servers, and
// have one from the first message until the server is idle again.
type pooler struct {
	socket string // of the server
	mu     sync.Mutex
	idle   []net.Conn // the last one that became free is taken first
	hello  []byte     // what a server says until it is ready first
}

// startPooler returns the address of a pooler before the server of c.
func startPooler(t *testing.T, c *pgtest.Cluster) string {
	t.Helper()
	dir := t.TempDir()
	l, err := net.Listen("unix", filepath.Join(dir, ".s.PGSQL.5432"))
	if err != nil {
		t.Fatal(err)
	}
	p := &pooler{socket: c.Socket()}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer client.Close()
				_ = p.serve(client)
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		wg.Wait()
		for _, s := range p.idle {
			s.Close()
		}
	})
	return "host=" + dir + " user=postgres dbname=postgres sslmode=disable"
}

func (p *pooler) serve(client net.Conn) error {
	startup, err := readStartup(client)
	if err != nil {
		return err
	}
	server, err := p.take(startup)
	if err != nil {
		return err
	}
	if _, err := client.Write(p.hello); err != nil {
		return err
	}
	p.free(server)
	for {
		kind, message, err := readMessage(client)
		if err != nil || kind == 'X' {
			return err
		}
		if server, err = p.take(startup); err != nil {
			return err
		}
		if err := p.transaction(client, server, kind, message); err != nil {
			server.Close()
			return err
		}
		p.free(server)
	}
}

// transaction passes messages on until the server is idle.
func (p *pooler) transaction(client, server net.Conn, kind byte, message []byte) error {
	for {
		if _, err := server.Write(message); err != nil {
			return err
		}
		if kind == 'Q' || kind == 'S' {
			status, answer, err := untilReady(server)
			if err != nil {
				return err
			}
			if _, err := client.Write(answer); err != nil {
				return err
			}
			if status == 'I' {
				return nil
			}
		}
		var err error
		if kind, message, err = readMessage(client); err != nil {
			return err
		}
	}
}

func (p *pooler) take(startup []byte) (net.Conn, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.idle); n > 0 {
		server := p.idle[n-1]
		p.idle = p.idle[:n-1]
		return server, nil
	}
	server, err := net.Dial("unix", p.socket)
	if err != nil {
		return nil, err
	}
	if _, err := server.Write(startup); err != nil {
		return nil, err
	}
	_, p.hello, err = untilReady(server)
	return server, err
}

func (p *pooler) free(server net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.idle = append(p.idle, server)
}

func readStartup(r io.Reader) ([]byte, error) {
	size := make([]byte, 4)
	if _, err := io.ReadFull(r, size); err != nil {
		return nil, err
	}
	rest := make([]byte, binary.BigEndian.Uint32(size)-4)
	_, err := io.ReadFull(r, rest)
	return slices.Concat(size, rest), err
}

func readMessage(r io.Reader) (kind byte, message []byte, err error) {
	head := make([]byte, 5)
	if _, err := io.ReadFull(r, head); err != nil {
		return 0, nil, err
	}
	body := make([]byte, binary.BigEndian.Uint32(head[1:])-4)
	_, err = io.ReadFull(r, body)
	return head[0], slices.Concat(head, body), err
}

// untilReady reads up to ReadyForQuery and returns its status.
func untilReady(r io.Reader) (status byte, all []byte, err error) {
	for {
		kind, message, err := readMessage(r)
		if err != nil {
			return 0, nil, err
		}
		all = append(all, message...)
		if kind == 'Z' {
			return message[5], all, nil
		}
	}
}

func testPooler(t *testing.T, c *pgtest.Cluster) {
	_, err := Open(t.Context(), startPooler(t, c), Options{})
	if !errors.Is(err, errPooled) || !strings.Contains(err.Error(), "direct address") {
		t.Errorf("%v, want a refusal that names the remedy", err)
	}
}
