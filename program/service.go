package program

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/alecthomas/kong"

	"etude/program/proc"
	"etude/services/uservice1"
	"etude/services/uservice2"
	"etude/services/uservice3"
	"etude/services/uservice4"
)

type runService func(ctx context.Context, getenv func(string) string, stdout io.Writer) error

var services = []struct {
	name string
	Run  runService
}{
	{"uservice1", uservice1.Run},
	{"uservice2", uservice2.Run},
	{"uservice3", uservice3.Run},
	{"uservice4", uservice4.Run},
}

type serviceCmd struct {
	ListenAddr string `name:"listen-addr" env:"ETUDE_LISTEN_ADDR" placeholder:"127.0.0.1:808N" help:"Address of the service."`
	NextURL    string `name:"next-url" env:"ETUDE_NEXT_URL" placeholder:"URL" help:"URL of the service that uservice1 and uservice3 call (default: uservice2 or uservice4 on this machine)."`
}

func (c *serviceCmd) Run(p *proc.Proc, command *kong.Context) error {
	for _, s := range services {
		if s.name != command.Selected().Name {
			continue
		}
		if err := s.Run(p.Ctx, c.getenv, p.Stdout); err != nil {
			return fmt.Errorf("run %s: %w", s.name, err)
		}
		return nil
	}
	return fmt.Errorf("no service is called %s", command.Selected().Name)
}

// getenv returns an environment variable; flags take precedence.
func (c *serviceCmd) getenv(key string) string {
	switch {
	case key == "ETUDE_LISTEN_ADDR" && c.ListenAddr != "":
		return c.ListenAddr
	case key == "ETUDE_NEXT_URL" && c.NextURL != "":
		return c.NextURL
	}
	return os.Getenv(key)
}
