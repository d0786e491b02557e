package labs

import (
	"bytes"
	"cmp"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"etude/assert"
)

//go:embed [0-9][0-9]-*
var own embed.FS

// Lab is one lesson, as defined by its folder.
type Lab struct {
	ID     string `yaml:"-"` // the folder's name
	Number int    `yaml:"-"` // its place among all labs
	Lesson string `yaml:"-"` // lesson.md
	files  fs.FS

	Title    string   `yaml:"title"`
	Minutes  int      `yaml:"minutes"`
	Start    Start    `yaml:"start"`
	Answer   string   `yaml:"answer"` // text, choice, query, lines or none
	Question string   `yaml:"question"`
	Choices  []string `yaml:"choices"`
	Check    Check    `yaml:"check"`
	Hints    []string `yaml:"hints"`
	Solution Solution `yaml:"solution"`
}

// Start describes the preparation. Says is shown to the learner. In it and in queries, ${run} is the name of
// the run, ${log.LABEL} the last request that a process printed, ${trace.NAME} and ${span.LABEL} are ids of a
// drawing, ${id.a}, ${id.b} and ${id.span} are new ids, ${otlp} is the URL that receives spans, and ${where} is
// the working copy.
type Start struct {
	Run   []Process `yaml:"run"`
	Draw  string    `yaml:"draw"` // a file with a drawing
	Says  string    `yaml:"says"`
	Copy  []string  `yaml:"copy"`  // services whose source is copied into the working copy
	Files bool      `yaml:"files"` // whether the files below work/ are copied too
}

// Process is a service that runs while its requests run.
type Process struct {
	Service  string            `yaml:"service"`
	Label    string            `yaml:"label"` // default: the service
	Env      map[string]string `yaml:"env"`
	Next     string            `yaml:"next"` // label of the process that it calls
	Requests int               `yaml:"requests"`
	Headers  map[string]string `yaml:"headers"` // of each request
	Kill     bool              `yaml:"kill"`    // kill it right after the last answer
}

func (p *Process) label() string { return cmp.Or(p.Label, p.Service) }

// Check determines the right answers.
type Check struct {
	Accept []Accepted `yaml:"accept"` // for text and choice
	Wrong  []Wrong    `yaml:"wrong"`  // replies to wrong answers; the first that matches is used
	Else   string     `yaml:"else"`   // reply to all other wrong answers
	// Same is a query that finds the same traces of the run as a right answer.
	Same string `yaml:"same"`
	// Sees is a query; a right answer finds exactly its spans.
	Sees     string        `yaml:"sees"`
	Mentions string        `yaml:"mentions"` // a regular expression that the answer must match
	Expect   []plainExpect `yaml:"expect"`   // about the run's spans
	Program  *Program      `yaml:"program"`  // the working copy: built, run, then checked by Expect
	Catches  []Catch       `yaml:"catches"`  // for lines: drawings, and whether the answer must hold for them
	mentions *regexp.Regexp
}

// plainExpect keeps an expectation as YAML, because its queries are complete only when the run has a name.
type plainExpect struct{ yaml.Node }

// UnmarshalYAML keeps the node.
func (p *plainExpect) UnmarshalYAML(n *yaml.Node) error {
	p.Node = *n
	return nil
}

// Accepted is a right answer. Exactly one field is set, or Missing and Of.
type Accepted struct {
	Value  string `yaml:"value"`
	Names  string `yaml:"names"`  // a query; the answer is the names of its spans, with or without the service
	Traces string `yaml:"traces"` // a query; the answer is the ids of its traces
	Links  string `yaml:"links"`  // a query; the answer is the ids of the traces that its spans link to
	// Missing is a query, and Of the number of spans that were sent. The answer is the number of spans that
	// were not received.
	Missing string `yaml:"missing"`
	Of      int    `yaml:"of"`
}

// Wrong is a wrong answer with its own reply.
type Wrong struct {
	Like string `yaml:"like"` // a regular expression for the whole answer
	Say  string `yaml:"say"`
}

// pattern compiles Like; an id in it may be shortened.
func (w Wrong) pattern(v vars) (*regexp.Regexp, error) {
	re, err := regexp.Compile("(?i)^(?:" + v.fill(anyVar().ReplaceAllString(w.Like, "(?:$0)")) + ")$")
	if err != nil {
		return nil, fmt.Errorf("lab.yaml: check.wrong: %w", err)
	}
	return re, nil
}

// Program describes how to run the working copy.
type Program struct {
	Run []Process `yaml:"run"`
}

// Catch is a drawing and the required result of the expectations on it.
type Catch struct {
	Draw  string `yaml:"draw"`
	Holds bool   `yaml:"holds"`
	Say   string `yaml:"say"` // reply when the result differs
}

// Solution is a right answer and its reason.
type Solution struct {
	Answer string    `yaml:"answer"`
	Run    []Process `yaml:"run"`   // a learner's actions besides answering
	Files  bool      `yaml:"files"` // whether files below solution/ are copied into the working copy
	Like   []string  `yaml:"like"`  // services whose source, renamed, is the solution: uservice3 for uservice1
	Why    string    `yaml:"why"`
}

var anyVar = expression(`\$\{[a-z0-9.]+\}`)

var labName = expression(`^\d\d-[a-z0-9-]{1,60}$`)

// Own is the file system of this package's labs.
func Own() fs.FS { return own }

// Load reads the labs of several places, in the order of their names. Of two with the same name, the later
// place wins.
func Load(places ...fs.FS) ([]*Lab, error) {
	byID := map[string]*Lab{}
	for _, place := range places {
		entries, err := fs.ReadDir(place, ".")
		if err != nil {
			return nil, fmt.Errorf("read labs: %w", err)
		}
		for _, e := range entries {
			if !e.IsDir() || !labName().MatchString(e.Name()) {
				continue
			}
			folder, err := fs.Sub(place, e.Name())
			if err != nil {
				return nil, err
			}
			if byID[e.Name()], err = load(folder, e.Name()); err != nil {
				return nil, fmt.Errorf("read lab %s: %w", e.Name(), err)
			}
		}
	}
	var all []*Lab
	for _, id := range sorted(byID) {
		byID[id].Number = len(all) + 1
		all = append(all, byID[id])
	}
	return all, nil
}

const maxLabFile = 256 << 10

func load(folder fs.FS, id string) (*Lab, error) {
	lab := &Lab{ID: id, files: folder}
	text, err := fs.ReadFile(folder, "lab.yaml")
	if err != nil {
		return nil, err
	}
	if len(text) > maxLabFile {
		return nil, fmt.Errorf("lab.yaml has %d bytes, at most %d are allowed", len(text), maxLabFile)
	}
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	if err := d.Decode(lab); err != nil {
		return nil, fmt.Errorf("lab.yaml: %w", err)
	}
	lesson, err := fs.ReadFile(folder, "lesson.md")
	if err != nil {
		return nil, err
	}
	lab.Lesson = string(lesson)
	return lab, lab.check()
}

// check finds mistakes of the teacher.
func (l *Lab) check() error {
	var errs []error
	want := func(ok bool, text string) {
		if !ok {
			errs = append(errs, errors.New("lab.yaml: "+text))
		}
	}
	want(l.Title != "", "title is missing")
	want(l.Minutes > 0, "minutes: want more than 0")
	want(slices.Contains([]string{"text", "choice", "query", "lines", "none"}, l.Answer), fmt.Sprintf("answer is %q: want text, choice, query, lines or none", l.Answer))
	want(l.Answer == "none" || l.Question != "", "question is missing")
	want((l.Answer == "choice") == (len(l.Choices) > 0), "choices belong to the answer choice, and only to it")
	want(len(l.Hints) == 3, fmt.Sprintf("hints: want 3, found %d", len(l.Hints)))
	c := &l.Check
	want(len(c.Accept) > 0 == (l.Answer == "text" || l.Answer == "choice"), "check.accept belongs to the answers text and choice, and only to them")
	want((c.Same != "" || c.Sees != "") == (l.Answer == "query"), "check.same or check.sees belongs to the answer query, and only to it")
	want(len(c.Catches) > 0 == (l.Answer == "lines"), "check.catches belongs to the answer lines, and only to it")
	want(l.Answer != "none" || len(c.Expect) > 0, "check.expect is missing: nothing else decides the answer none")
	for _, w := range c.Wrong {
		_, err := w.pattern(vars{})
		errs = append(errs, err)
	}
	var err error
	c.mentions, err = regexp.Compile(c.Mentions)
	errs = append(errs, err, l.checkProcesses())
	if len(c.Expect) > 0 {
		_, err = l.expectations(vars{"run": "x"})
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func (l *Lab) checkProcesses() error {
	for _, p := range slices.Concat(l.Start.Run, l.Solution.Run, l.program()) {
		if !slices.Contains([]string{"uservice1", "uservice2", "uservice3", "uservice4"}, p.Service) {
			return fmt.Errorf("lab.yaml: run: service %q: want uservice1 to uservice4", p.Service)
		}
		if p.Requests < 0 || p.Requests > 100 {
			return fmt.Errorf("lab.yaml: run: %s: requests %d: want 0 to 100", p.label(), p.Requests)
		}
	}
	return nil
}

func (l *Lab) program() []Process {
	if l.Check.Program == nil {
		return nil
	}
	return l.Check.Program.Run
}

// expectations returns the expectations of the check, with the variables of a run filled in.
func (l *Lab) expectations(v vars) (*assert.Spec, error) {
	nodes := &yaml.Node{Kind: yaml.SequenceNode}
	for i := range l.Check.Expect {
		nodes.Content = append(nodes.Content, &l.Check.Expect[i].Node)
	}
	text, err := yaml.Marshal(map[string]*yaml.Node{"expect": nodes})
	if err != nil {
		return nil, err
	}
	spec, err := assert.ParseYAML([]byte(v.fill(string(text))))
	if err != nil {
		return nil, fmt.Errorf("lab.yaml: check.expect: %w", err)
	}
	return spec, nil
}

// vars are the variables of a run, written ${name}.
type vars map[string]string

func (v vars) fill(text string) string {
	if !strings.Contains(text, "${") {
		return text
	}
	var pairs []string
	for _, key := range sorted(v) {
		pairs = append(pairs, "${"+key+"}", v[key])
	}
	return strings.NewReplacer(pairs...).Replace(text)
}
