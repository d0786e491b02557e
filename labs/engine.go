package labs

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"etude/assert"
)

// Engine runs labs. It is safe for concurrent use; it starts or checks one lab at a time.
type Engine struct {
	labs  []*Lab
	stage Stage
	dir   string // of progress and working copies

	// playing is held while a lab is started, checked or reset, which may take long. mu protects notes and is
	// held only briefly. Order of locks: playing, then mu.
	playing sync.Mutex
	mu      sync.Mutex
	notes   *notebook
}

// NewEngine returns an Engine over labs. It keeps progress and working copies in dir, which it makes when
// needed.
func NewEngine(labs []*Lab, stage Stage, dir string) (*Engine, error) {
	notes, err := openNotebook(dir)
	if err != nil {
		return nil, err
	}
	return &Engine{labs: labs, stage: stage, dir: dir, notes: notes}, nil
}

// View is a lab in the form that a learner sees.
type View struct {
	ID       string   `json:"id"`
	Number   int      `json:"number"`
	Title    string   `json:"title"`
	Minutes  int      `json:"minutes"`
	State    State    `json:"state"`
	Hints    int      `json:"hints"` // shown so far
	OfHints  int      `json:"ofHints"`
	Answer   string   `json:"answer"` // text, choice, query, lines or none
	Question string   `json:"question"`
	Choices  []string `json:"choices,omitempty"`
	Says     string   `json:"says,omitempty"`  // the text of the last start
	Where    string   `json:"where,omitempty"` // the working copy
	// Lesson and Solution are set for a single lab; Solution only when the lab is done.
	Lesson   string `json:"lesson,omitempty"`
	Solution string `json:"solution,omitempty"`
}

// Result is the result of a check.
type Result struct {
	Passed   bool             `json:"passed"`
	Says     string           `json:"says"`
	Verdicts []assert.Verdict `json:"verdicts,omitempty"`
	Lab      View             `json:"lab"`
}

// List returns all labs, and the id of the next one to do, "" when all are done.
func (e *Engine) List() (all []View, next string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, l := range e.labs {
		v := e.view(l)
		if next == "" && v.State != Done {
			next = v.ID
		}
		all = append(all, v)
	}
	return all, next
}

// Lab returns one lab with its text.
func (e *Engine) Lab(id string) (View, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	l, err := e.find(id)
	if err != nil {
		return View{}, err
	}
	v := e.view(l)
	v.Lesson = l.Lesson
	if v.State == Done {
		v.Solution = l.Solution.text()
	}
	return v, nil
}

// UnknownError is the error of a lab that does not exist.
type UnknownError struct{ ID string }

func (e *UnknownError) Error() string {
	return fmt.Sprintf("no lab is called %q; `etude lab list` names them", e.ID)
}

// find accepts the name of a lab, its number, or a prefix of its name.
func (e *Engine) find(id string) (*Lab, error) {
	for _, l := range e.labs {
		if id != "" && (l.ID == id || strings.HasPrefix(l.ID, id) || fmt.Sprint(l.Number) == id) {
			return l, nil
		}
	}
	return nil, &UnknownError{id}
}

func (e *Engine) view(l *Lab) View {
	p := e.notes.read(l.ID)
	v := View{ID: l.ID, Number: l.Number, Title: l.Title, Minutes: l.Minutes, State: p.State, Hints: p.Hints, OfHints: len(l.Hints),
		Answer: l.Answer, Question: p.Vars.fill(l.Question), Choices: l.Choices, Says: p.Says}
	if l.works() && p.State != New {
		v.Where = e.workDir(l)
	}
	return v
}

func (l *Lab) works() bool { return l.Start.Files || len(l.Start.Copy) > 0 }

func (e *Engine) workDir(l *Lab) string { return filepath.Join(e.dir, l.ID) }

func (s *Solution) text() string {
	if s.Answer == "" {
		return s.Why
	}
	return "`" + strings.TrimSpace(s.Answer) + "`\n\n" + s.Why
}

// Start prepares a lab: it runs the lab's processes, sends its drawing, and makes its working copy. A lab can
// be started again; an existing working copy stays unchanged.
func (e *Engine) Start(ctx context.Context, id string) (View, error) {
	e.playing.Lock()
	defer e.playing.Unlock()
	l, err := e.find(id)
	if err != nil {
		return View{}, err
	}
	v := vars{"run": newRun(l.ID), "otlp": e.stage.Endpoint(), "id.a": newID(16), "id.b": newID(16), "id.span": newID(8), "where": e.workDir(l)}
	if l.Start.Draw != "" {
		if err := draw(ctx, e.stage.Send, l.files, l.Start.Draw, v); err != nil {
			return View{}, fmt.Errorf("start %s: %w", l.ID, err)
		}
	}
	if err := run(ctx, e.stage, "", l.Start.Run, v); err != nil {
		return View{}, fmt.Errorf("start %s: %w", l.ID, err)
	}
	if l.works() {
		if err := e.copyWork(l); err != nil {
			return View{}, fmt.Errorf("make the working copy of %s: %w", l.ID, err)
		}
	}
	return e.note(l, func(p *progress) {
		if p.State == New {
			p.State = Started
		}
		p.Vars, p.Says = v, strings.TrimSpace(v.fill(l.Start.Says))
	})
}

// Check checks an answer. The lab must have been started.
func (e *Engine) Check(ctx context.Context, id, answer string) (Result, error) {
	e.playing.Lock()
	defer e.playing.Unlock()
	l, err := e.find(id)
	if err != nil {
		return Result{}, err
	}
	v, err := e.runOf(l)
	if err != nil {
		return Result{}, err
	}
	r, err := e.judge(ctx, l, v, strings.TrimSpace(answer))
	if err != nil {
		return Result{}, fmt.Errorf("check %s: %w", l.ID, err)
	}
	r.Lab, err = e.note(l, func(p *progress) {
		if r.Passed {
			p.State = Done
			r.Says = strings.TrimSpace("Right. " + l.Solution.Why)
		}
	})
	return r, err
}

// runOf returns the variables of a lab's last run. They never change afterwards.
func (e *Engine) runOf(l *Lab) (vars, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if v := e.notes.read(l.ID).Vars; v != nil {
		return v, nil
	}
	return nil, errNotStarted
}

// note changes the stored progress of a lab.
func (e *Engine) note(l *Lab, change func(*progress)) (View, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	change(e.notes.get(l.ID))
	return e.view(l), e.notes.save()
}

// Hint returns the next hint. When all have been shown, it returns the last one again.
func (e *Engine) Hint(id string) (hint string, v View, err error) {
	l, err := e.find(id)
	if err != nil {
		return "", View{}, err
	}
	v, err = e.note(l, func(p *progress) {
		p.Hints = min(p.Hints+1, len(l.Hints))
		hint = p.Vars.fill(l.Hints[p.Hints-1])
	})
	return hint, v, err
}

// Reset removes the progress of a lab and its working copy.
func (e *Engine) Reset(id string) (View, error) {
	e.playing.Lock()
	defer e.playing.Unlock()
	l, err := e.find(id)
	if err != nil {
		return View{}, err
	}
	if l.works() {
		if err := os.RemoveAll(e.workDir(l)); err != nil {
			return View{}, fmt.Errorf("remove the working copy of %s: %w", l.ID, err)
		}
	}
	return e.note(l, func(p *progress) { *p = progress{State: New} })
}
