package web

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

const short, long = 200 * time.Millisecond, 30 * time.Second

// startBad serves with few connections, and so much patience with who writes and who
// reads. What is asked for at /large is more than any buffer holds; left has one when
// that has been given up.
func startBad(t *testing.T, writes, reads time.Duration) (address string, left chan error) {
	t.Helper()
	left = make(chan error, 100)
	s := New(Options{Daemon: &desk{well: true}, Token: token, Handlers: map[string]http.Handler{
		"/large": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, err := io.CopyN(w, strings.NewReader(strings.Repeat("x", 1<<20)), 1<<20)
			for err == nil {
				_, err = io.WriteString(w, strings.Repeat("x", 1<<20))
			}
			left <- err
		})}})
	s.http.ReadHeaderTimeout, s.http.WriteTimeout, s.most = writes, reads, 8
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the server ended with %v", err)
		}
	})
	return l.Addr().String(), left
}

// say opens a connection that says text and then nothing.
func say(t *testing.T, address, text string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_, _ = io.WriteString(c, text) // it may have been closed already
	return c
}

// well waits until a well-behaved client is answered.
func well(t *testing.T, address string) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for ; ; <-tick.C {
		c := say(t, address, "GET /healthz HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n")
		answer, err := http.ReadResponse(bufio.NewReader(c), nil)
		c.Close()
		if err == nil && answer.StatusCode == http.StatusOK {
			return
		}
	}
}

// Clients that begin a request and never end it, in any number, are closed, and keep
// nobody else away for long.
func TestSlowHeaders(t *testing.T) {
	address, _ := startBad(t, short, long)
	var all []net.Conn
	for i := range 40 {
		all = append(all, say(t, address, fmt.Sprintf("GET /healthz HTTP/1.1\r\nX-Slow: %d", i)))
	}
	well(t, address)
	for _, c := range all {
		_, _ = io.Copy(io.Discard, c) // ends when the server closes it
	}
}

// As many connections are open as there may be: one beyond is closed at once, and one
// that ends makes room.
func TestConnectionsAreBounded(t *testing.T) {
	address, _ := startBad(t, long, long)
	var all []net.Conn
	for range 8 {
		c := say(t, address, "GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
		if _, err := http.ReadResponse(bufio.NewReader(c), nil); err != nil {
			t.Fatal(err)
		}
		all = append(all, c)
	}
	if text, _ := io.ReadAll(say(t, address, "GET /healthz HTTP/1.0\r\n\r\n")); len(text) > 0 {
		t.Errorf("the ninth was told %q", text)
	}
	all[0].Close()
	well(t, address)
}

// A client that never reads is given up, and what answers it ends.
func TestNeverReads(t *testing.T) {
	address, left := startBad(t, long, short)
	for range 8 {
		say(t, address, "GET /large HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
	}
	for range 8 {
		if err := <-left; err == nil {
			t.Error("all of it was written")
		}
	}
	well(t, address)
}

// Bodies and headers that are too large are refused, and never held.
func TestTooLarge(t *testing.T) {
	address, _ := startBad(t, long, long)
	auth := "POST /api/v1/queue/cancel HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer " + token + "\r\n"
	for name, tt := range map[string]struct {
		text string
		want int
	}{
		"a body of a gigabyte that is announced": {auth + "Content-Length: 1000000000\r\n\r\n" + `{"key": "` + strings.Repeat("x", 100<<10), 400},
		"a body without an end":                  {auth + "Transfer-Encoding: chunked\r\n\r\n20000\r\n" + `{"key": "` + strings.Repeat("x", 0x20000-9) + "\r\n20000\r\n", 400},
		"a header of a megabyte":                 {"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Large: " + strings.Repeat("x", 1<<20), 431},
	} {
		t.Run(name, func(t *testing.T) {
			c := say(t, address, "")
			go io.WriteString(c, tt.text) // ends with the connection
			answer, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil {
				t.Fatal(err)
			}
			if answer.StatusCode != tt.want {
				t.Errorf("status %d, want %d", answer.StatusCode, tt.want)
			}
			_, _ = io.Copy(io.Discard, c) // it is closed
		})
	}
}
