package program

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"etude/internal/door"
	"etude/labs"
	"etude/program/access"
	"etude/program/listen"
	"etude/program/proc"
)

// labCmd does the labs of a running `etude up`.
type labCmd struct {
	List  labListCmd  `cmd:"" default:"1" help:"List the labs and your progress."`
	Start labStartCmd `cmd:"" help:"Prepare a lab and print its text."`
	Check labCheckCmd `cmd:"" help:"Check an answer."`
	Hint  labHintCmd  `cmd:"" help:"Print the next hint."`
	Reset labResetCmd `cmd:"" help:"Reset a lab's progress and its working copy."`
	Next  labNextCmd  `cmd:"" help:"Start the next unfinished lab."`

	PageURL       string `name:"page-url" env:"ETUDE_PAGE_URL" placeholder:"URL" help:"URL of the page of the running etude up (default: port 3000 of this machine)."`
	listen.Offset `group:"listen"`
	access.Client `group:"client"`
}

type (
	labListCmd  struct{}
	labStartCmd struct{ labArg }
	labCheckCmd struct {
		labArg
		Answer []string `arg:"" optional:"" passthrough:"" help:"Answer, for labs that ask for one."`
		File   string   `name:"file" short:"f" placeholder:"FILE" help:"File to read the answer from."`
	}
	labHintCmd  struct{ labArg }
	labResetCmd struct{ labArg }
	labNextCmd  struct{}
)

type labArg struct {
	Lab string `arg:"" help:"Number or name of the lab."`
}

// Run lists the labs.
func (*labListCmd) Run(p *proc.Proc, c *labCmd) error {
	var answer struct {
		Labs []labs.View
		Next string
	}
	if err := c.ask(p, http.MethodGet, "", nil, &answer); err != nil {
		return err
	}
	for _, l := range answer.Labs {
		mark := map[labs.State]string{labs.New: " ", labs.Started: ".", labs.Done: "x"}[l.State]
		fmt.Fprintf(p.Stdout, "%s %2d  %-42s %3d min  %s\n", mark, l.Number, l.Title, l.Minutes, l.ID)
	}
	if answer.Next != "" {
		fmt.Fprintf(p.Stdout, "\nx done, . started. Next: etude lab start %s\n", answer.Next)
	}
	return nil
}

// Run starts a lab.
func (s *labStartCmd) Run(p *proc.Proc, c *labCmd) error { return c.start(p, s.Lab) }

// Run starts the next lab.
func (*labNextCmd) Run(p *proc.Proc, c *labCmd) error {
	var answer struct{ Next string }
	if err := c.ask(p, http.MethodGet, "", nil, &answer); err != nil {
		return err
	}
	if answer.Next == "" {
		fmt.Fprintln(p.Stdout, "All labs are done.")
		return nil
	}
	return c.start(p, answer.Next)
}

func (c *labCmd) start(p *proc.Proc, id string) error {
	var started struct{ Lab labs.View }
	if err := c.ask(p, http.MethodPost, "/"+id+"/start", nil, &started); err != nil {
		return err
	}
	var lab labs.View
	if err := c.ask(p, http.MethodGet, "/"+started.Lab.ID, nil, &lab); err != nil {
		return err
	}
	fmt.Fprintf(p.Stdout, "%s\n%s\n\n", lab.Lesson, lab.Says)
	if lab.Question != "" {
		fmt.Fprintln(p.Stdout, lab.Question)
	}
	for i, choice := range lab.Choices {
		fmt.Fprintf(p.Stdout, "  %d  %s\n", i+1, choice)
	}
	answer := map[string]string{"none": "", "lines": " -f FILE", "choice": " NUMBER"}
	given, special := answer[lab.Answer]
	if !special {
		given = " 'ANSWER'"
	}
	fmt.Fprintf(p.Stdout, "\n  etude lab check %d%s\n  etude lab hint %d\n", lab.Number, given, lab.Number)
	return nil
}

// Run checks an answer. The exit status of a wrong one is 1.
func (k *labCheckCmd) Run(p *proc.Proc, c *labCmd) error {
	answer := strings.Join(k.Answer, " ")
	if k.File != "" {
		data, err := os.ReadFile(k.File)
		if err != nil {
			return fmt.Errorf("read the answer: %w", err)
		}
		answer = string(data)
	}
	var lab labs.View
	if err := c.ask(p, http.MethodGet, "/"+k.Lab, nil, &lab); err != nil {
		return err
	}
	if n, err := strconv.Atoi(answer); err == nil && n >= 1 && n <= len(lab.Choices) {
		answer = lab.Choices[n-1]
	}
	var result labs.Result
	if err := c.ask(p, http.MethodPost, "/"+lab.ID+"/check", map[string]string{"answer": answer}, &result); err != nil {
		return err
	}
	fmt.Fprintln(p.Stdout, strings.TrimSpace(result.Says))
	if !result.Passed {
		return proc.ErrQuiet
	}
	return nil
}

// Run prints the next hint.
func (h *labHintCmd) Run(p *proc.Proc, c *labCmd) error {
	var answer struct {
		Hint       string
		Number, Of int
	}
	if err := c.ask(p, http.MethodPost, "/"+h.Lab+"/hint", nil, &answer); err != nil {
		return err
	}
	fmt.Fprintf(p.Stdout, "Hint %d of %d: %s\n", answer.Number, answer.Of, answer.Hint)
	return nil
}

// Run resets a lab.
func (r *labResetCmd) Run(p *proc.Proc, c *labCmd) error {
	var answer struct{ Lab labs.View }
	if err := c.ask(p, http.MethodPost, "/"+r.Lab+"/reset", nil, &answer); err != nil {
		return err
	}
	fmt.Fprintf(p.Stdout, "%s is reset.\n", answer.Lab.ID)
	return nil
}

// ask sends a request below /api/etude/labs and decodes the JSON answer.
func (c *labCmd) ask(p *proc.Proc, method, path string, body, into any) error {
	client, err := c.HTTPClient(&http.Transport{}, door.Query)
	if err != nil {
		return err
	}
	client.Timeout = 5 * time.Minute // a check may compile
	base := strings.TrimSuffix(cmp.Or(c.PageURL, "http://"+listen.Loopback(listen.PortPage+c.PortOffset)), "/")
	sent, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(p.Ctx, method, base+"/api/etude/labs"+path, bytes.NewReader(sent))
	if err != nil {
		return err
	}
	answer, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("send a request to the labs (is `etude up` running? Set --page-url if its page is elsewhere): %w", err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, 16<<20))
	if err != nil {
		return err
	}
	if answer.StatusCode != http.StatusOK {
		return errors.New(strings.TrimSpace(string(text)))
	}
	return json.Unmarshal(text, into)
}
