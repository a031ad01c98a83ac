package web

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/transship/transship/state"
)

// A Client asks a daemon through its API. It is for one goroutine.
type Client struct {
	Server string // http://host:port
	Token  string // sent with every request; needed for what changes something
	// Prove has the server prove that it has Token before it is sent, which takes that
	// nothing between here and there changes addresses.
	Prove bool
	HTTP  *http.Client

	proved bool
}

// maxAnswer is the size in bytes above which no answer is read.
const maxAnswer = 64 << 20

// A Refusal is a daemon's answer that it could not.
type Refusal struct {
	Status int
	Problem
}

func (r *Refusal) Error() string { return "the daemon answers: " + r.Problem.Error }

// Status asks for passes, standings, items and lags, of one rule or ("") of all.
func (c *Client) Status(ctx context.Context, rule string, limit int) (s Status, err error) {
	return s, c.ask(ctx, http.MethodGet, "/api/v1/status?"+url.Values{"rule": {rule}, "limit": {strconv.Itoa(limit)}}.Encode(), nil, &s)
}

// Rules asks for the rules in force.
func (c *Client) Rules(ctx context.Context) (list []Rule, err error) {
	return list, c.ask(ctx, http.MethodGet, "/api/v1/rules", nil, &list)
}

// Queue asks for what is wanted or running.
func (c *Client) Queue(ctx context.Context) (list []state.Row, err error) {
	return list, c.ask(ctx, http.MethodGet, "/api/v1/queue", nil, &list)
}

// Passes asks for the newest passes of a rule, the newest first.
func (c *Client) Passes(ctx context.Context, rule string, limit int) (list []state.Pass, err error) {
	return list, c.ask(ctx, http.MethodGet, "/api/v1/passes?"+url.Values{"rule": {rule}, "limit": {strconv.Itoa(limit)}}.Encode(), nil, &list)
}

// Run asks for a run of a rule.
func (c *Client) Run(ctx context.Context, rule string) error { return c.rule(ctx, rule, "run") }

// Pause has the schedule leave a rule alone, or take it up again.
func (c *Client) Pause(ctx context.Context, rule string, paused bool) error {
	if paused {
		return c.rule(ctx, rule, "pause")
	}
	return c.rule(ctx, rule, "resume")
}

func (c *Client) rule(ctx context.Context, rule, what string) error {
	return c.ask(ctx, http.MethodPost, "/api/v1/rules/"+url.PathEscape(rule)+"/"+what, nil, nil)
}

// Cancel makes a key of the queue not wanted.
func (c *Client) Cancel(ctx context.Context, key string) error {
	return c.ask(ctx, http.MethodPost, "/api/v1/queue/cancel", map[string]string{"key": key}, nil)
}

// Reload has the daemon read its policy again.
func (c *Client) Reload(ctx context.Context) error {
	return c.ask(ctx, http.MethodPost, "/api/v1/policy/reload", nil, nil)
}

func (c *Client) ask(ctx context.Context, method, path string, body, into any) error {
	if c.Prove && c.Token != "" && !c.proved {
		if err := c.proof(ctx); err != nil {
			return err
		}
		c.proved = true
	}
	return c.request(ctx, method, path, c.Token, body, into)
}

func (c *Client) request(ctx context.Context, method, path, token string, body, into any) error {
	var content io.Reader
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			return err
		}
		content = bytes.NewReader(raw)
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(c.Server, "/")+path, content)
	if err != nil {
		return fmt.Errorf("the address of the daemon cannot be read: %w", err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	return c.send(req, into)
}

func (c *Client) send(req *http.Request, into any) error {
	client := c.HTTP
	if client == nil {
		client = http.DefaultClient
	}
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("ask the daemon: %w", err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("ask the daemon: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		r := &Refusal{Status: resp.StatusCode}
		if json.Unmarshal(raw, &r.Problem) != nil || r.Problem.Error == "" {
			r.Problem = Problem{"status " + resp.Status, "is it a transship daemon that listens there?"}
		}
		return r
	}
	if into == nil {
		return nil
	}
	if json.Unmarshal(raw, into) != nil {
		return errors.New("what listens there is no transship daemon of this version")
	}
	return nil
}
