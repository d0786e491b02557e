// Package services holds the text of the four services, so that a page can show
// the lines that made a span beside the span. It knows the text, not the code:
// it finds the lines of each span with Go's own parser, and a test compares them
// with the spans of a real request.
package services

import (
	"embed"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"strings"
)

// Files are the source and the page of each service, as uservice1/uservice1.go
// and uservice1/hello-world.html.
//
//go:embed uservice?/uservice?.go uservice?/hello-world.html
var Files embed.FS

// Lesson is the source of one service and what its lines do to spans.
type Lesson struct {
	File  string         `json:"file"` // from the root of the repository
	Lines []string       `json:"lines"`
	Spans map[string]Cut `json:"spans"` // by name
	// Setup are lines outside of the functions that make spans: attributes of the
	// resource, the name of the scope.
	Setup []Mark `json:"setup"`
}

// Cut is the function that makes a span. Lines count from 1.
type Cut struct {
	First int    `json:"first"`
	Last  int    `json:"last"`
	Marks []Mark `json:"marks"`
}

// Mark says what one line adds to a span. Kind is one of start, kind, parent,
// inject, end, attribute, event, status, error, resource and scope; Name is the
// attribute's key, the event's name or the status' message, where the source has
// it as a literal.
type Mark struct {
	Line int    `json:"line"`
	Kind string `json:"kind"`
	Name string `json:"name,omitempty"`
	// Of is the event that an attribute belongs to, "" for the span's own.
	Of string `json:"of,omitempty"`
}

// Names are the services, in the order of their numbers.
var Names = []string{"uservice1", "uservice2", "uservice3", "uservice4"}

// Read returns the lesson of one service. A service without instrumentation has
// no spans.
func Read(service string) (*Lesson, error) {
	file := fmt.Sprintf("%s/%s.go", service, service)
	text, err := Files.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("no service is called %q: want uservice1 to uservice4", service)
	}
	set := token.NewFileSet()
	tree, err := parser.ParseFile(set, file, text, 0)
	if err != nil {
		return nil, fmt.Errorf("read the source of %s: %w", service, err)
	}
	lesson := &Lesson{File: "services/" + file, Lines: strings.Split(strings.TrimSuffix(string(text), "\n"), "\n"), Spans: map[string]Cut{}, Setup: []Mark{}}
	for _, d := range tree.Decls {
		if f, ok := d.(*ast.FuncDecl); ok && f.Body != nil {
			lesson.addFunction(set, f)
		}
	}
	return lesson, nil
}

func (l *Lesson) addFunction(set *token.FileSet, f *ast.FuncDecl) {
	r := markReader{set: set}
	ast.Inspect(f.Body, r.visit)
	if r.span == "" {
		l.Setup = append(l.Setup, r.marks...)
		return
	}
	l.Spans[r.span] = Cut{First: set.Position(f.Pos()).Line, Last: set.Position(f.End()).Line, Marks: r.marks}
}

// markReader collects the marks of one function. A function makes one span at
// most.
type markReader struct {
	set   *token.FileSet
	span  string
	marks []Mark
	of    string // the event whose attributes are being read
	until token.Pos
}

// setupCalls are options of the resource and the attributes that they add.
var setupCalls = map[string]string{"WithOSType": "os.type", "WithProcessPID": "process.pid", "WithProcessCommandArgs": "process.command_args"}

// spanCalls are the calls that change a span, and the kinds of their marks.
var spanCalls = map[string]string{"WithSpanKind": "kind", "Extract": "parent", "Inject": "inject", "End": "end", "RecordError": "error"}

func (r *markReader) visit(n ast.Node) bool {
	call, ok := n.(*ast.CallExpr)
	if !ok {
		return true
	}
	called, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return true
	}
	if n.Pos() > r.until {
		r.of = ""
	}
	line, name := r.set.Position(called.Sel.Pos()).Line, called.Sel.Name
	if kind, known := spanCalls[name]; known {
		r.add(line, kind, "")
	} else if key, known := setupCalls[name]; known {
		r.add(line, "resource", key)
	} else {
		r.named(call, receiver(called), name, line)
	}
	return true
}

// named reads calls whose arguments name the addition.
func (r *markReader) named(call *ast.CallExpr, on, name string, line int) {
	switch {
	case name == "Start" && strings.HasSuffix(on, "tracer"):
		r.span = literal(call, 1)
		r.add(line, "start", r.span)
	case name == "AddEvent":
		r.of, r.until = literal(call, 0), call.End()
		r.marks = append(r.marks, Mark{Line: line, Kind: "event", Name: r.of})
	case name == "SetStatus":
		r.add(line, "status", literal(call, 1))
	case name == "Tracer":
		r.add(line, "scope", literal(call, 0))
	case on == "attribute":
		kind := "attribute"
		if literal(call, 0) == "service.name" {
			kind = "resource"
		}
		r.add(line, kind, literal(call, 0))
	}
}

func (r *markReader) add(line int, kind, name string) {
	r.marks = append(r.marks, Mark{Line: line, Kind: kind, Name: name, Of: r.of})
}

// receiver is the last name before the called one: tracer in s.tracer.Start.
func receiver(called *ast.SelectorExpr) string {
	switch x := called.X.(type) {
	case *ast.Ident:
		return x.Name
	case *ast.SelectorExpr:
		return x.Sel.Name
	}
	return ""
}

// literal is an argument that is a text in the source, "" when it is not.
func literal(call *ast.CallExpr, i int) string {
	if i >= len(call.Args) {
		return ""
	}
	text, ok := call.Args[i].(*ast.BasicLit)
	if !ok || text.Kind != token.STRING {
		return ""
	}
	value, _ := strconv.Unquote(text.Value) // the parser has checked it
	return value
}
