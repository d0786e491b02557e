package program

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"etude/internal/door"
	"etude/program/access"
	"etude/program/proc"
)

type healthCmd struct {
	access.Client `group:"client"`
	URL           string        `arg:"" help:"URL to request: http://HOST:PORT/PATH, or tcp://HOST:PORT to only connect."`
	Timeout       time.Duration `default:"2s" help:"Maximum time to wait for the answer."`
}

// Run succeeds when the URL answers with a status below 500: a service that answers 404 or requires a token is
// alive. A tcp URL only connects; use it for a service where every request is work.
func (c *healthCmd) Run(p *proc.Proc) error {
	if addr, ok := strings.CutPrefix(c.URL, "tcp://"); ok {
		return c.connect(addr)
	}
	client, err := c.HTTPClient(&http.Transport{}, door.Query)
	if err != nil {
		return err
	}
	client.Timeout = c.Timeout
	resp, err := client.Get(c.URL)
	if err != nil {
		return fmt.Errorf("check health: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode >= 500 {
		return fmt.Errorf("check health of %s: it answers %s", c.URL, resp.Status)
	}
	fmt.Fprintln(p.Stdout, resp.Status)
	return nil
}

func (c *healthCmd) connect(addr string) error {
	conn, err := net.DialTimeout("tcp", addr, c.Timeout)
	if err != nil {
		return fmt.Errorf("check health: %w", err)
	}
	return conn.Close()
}
