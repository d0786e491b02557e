package syntax

// Query is a whole query: a pipeline, the stages after it in a metrics query, and hints.
type Query struct {
	Pipeline *Pipeline
	Metrics  *Metrics // nil for a search query
	Hints    []Hint   // of the last with(...); a repeated name occurs twice
}

// Pipeline is one or more stages joined by "|".
type Pipeline struct {
	Stages []Stage
	pos    Pos
}

// Stage is one step of a pipeline: a spanset expression (*Filter, *SpansetOp,
// *Pipeline in parentheses), *Aggregate, *By, *Select or *Coalesce.
type Stage interface {
	Pos() Pos
	stage()
}

// Spanset is an operand of a spanset operator: *Filter, *SpansetOp or *Pipeline, the last only in a query that
// combines whole pipelines.
type Spanset interface {
	Stage
	spanset()
}

// Filter is { Cond }; Cond is nil for { }.
type Filter struct {
	Cond Field
	pos  Pos
}

// SpansetOp combines two spansets by && or || or a structural operator.
type SpansetOp struct {
	Op   string // as written: "&&", "||", ">", "!>>", "&~", ...
	L, R Spanset
	pos  Pos // of the operator
}

// Aggregate is a comparison such as avg(duration) > 1s.
type Aggregate struct {
	Func  string // count, min, max, avg, sum
	Arg   Field  // nil for count
	Op    string
	Value *Literal // a number, including its sign
	pos   Pos
}

// By is by(Expr).
type By struct {
	Expr Field
	pos  Pos
}

// Select is select(Attrs).
type Select struct {
	Attrs []Field // *AttrRef or *Intrinsic
	pos   Pos
}

// Coalesce is coalesce().
type Coalesce struct{ pos Pos }

// Field is an expression over one span: *Binary, *Unary, *Literal, *AttrRef or
// *Intrinsic.
type Field interface {
	Pos() Pos
	field()
}

// Binary is L Op R.
type Binary struct {
	Op   string
	L, R Field
	pos  Pos // of the operator
}

// Unary is Op X, Op being "-" or "!".
type Unary struct {
	Op  string
	X   Field
	pos Pos
}

// LitType is the type of a literal.
type LitType uint8

// The types of literals.
const (
	LitNil LitType = iota
	LitString
	LitInt
	LitFloat
	LitDuration
	LitBool
	LitStatus
	LitKind
)

// Literal is a constant. Int has an int, a duration in nanoseconds, a bool (0 or 1), or a status or kind with
// OTLP's numbers.
type Literal struct {
	Type  LitType
	Str   string
	Int   int64
	Float float64
	pos   Pos
}

// Scope is the place where an attribute is looked up.
type Scope uint8

// The scopes. ScopeNone is the unscoped form: the span, then the resource.
const (
	ScopeNone Scope = iota
	ScopeSpan
	ScopeResource
	ScopeEvent
	ScopeLink
	ScopeInstrumentation
)

// String returns the scope's word; "" for ScopeNone.
func (s Scope) String() string {
	return [...]string{"", "span", "resource", "event", "link", "instrumentation"}[s]
}

// Attr names an attribute. Parent marks parent.x, which parses but is not available anywhere.
type Attr struct {
	Scope  Scope
	Parent bool
	Name   string
}

// AttrRef is an attribute in an expression.
type AttrRef struct {
	Attr
	pos Pos
}

// Intrinsic is a built-in field in an expression. Name is its canonical name.
type Intrinsic struct {
	Name string
	pos  Pos
}

// Metrics is the part of a metrics query after its pipeline.
type Metrics struct {
	Func      string
	Arg       Field // nil when the function has no argument
	Quantiles []float64
	By        []Field
	Compare   *Compare // for compare()
	Second    []SecondStage
	pos       Pos
}

// Compare has the arguments of compare().
type Compare struct {
	Filter     *Filter
	TopN       int64
	Start, End int64 // unix nanoseconds; 0, 0 when absent
	HasTopN    bool
	HasWindow  bool
}

// SecondStage is topk(K), bottomk(K) or a filter on samples, Op Value.
type SecondStage struct {
	Func  string // topk, bottomk; "" for a filter
	K     int64
	Op    string
	Value *Literal
	pos   Pos
}

// Hint is one entry of with(...).
type Hint struct {
	Name  string
	Value *Literal
	pos   Pos
}

func (p *Pipeline) Pos() Pos    { return p.pos }
func (f *Filter) Pos() Pos      { return f.pos }
func (o *SpansetOp) Pos() Pos   { return o.pos }
func (a *Aggregate) Pos() Pos   { return a.pos }
func (b *By) Pos() Pos          { return b.pos }
func (s *Select) Pos() Pos      { return s.pos }
func (c *Coalesce) Pos() Pos    { return c.pos }
func (b *Binary) Pos() Pos      { return b.pos }
func (u *Unary) Pos() Pos       { return u.pos }
func (l *Literal) Pos() Pos     { return l.pos }
func (a *AttrRef) Pos() Pos     { return a.pos }
func (i *Intrinsic) Pos() Pos   { return i.pos }
func (m *Metrics) Pos() Pos     { return m.pos }
func (s *SecondStage) Pos() Pos { return s.pos }

func (*Pipeline) stage()  {}
func (*Filter) stage()    {}
func (*SpansetOp) stage() {}
func (*Aggregate) stage() {}
func (*By) stage()        {}
func (*Select) stage()    {}
func (*Coalesce) stage()  {}

func (*Pipeline) spanset()  {}
func (*Filter) spanset()    {}
func (*SpansetOp) spanset() {}

func (*Binary) field()    {}
func (*Unary) field()     {}
func (*Literal) field()   {}
func (*AttrRef) field()   {}
func (*Intrinsic) field() {}

// Structural reports whether a spanset operator relates spans by the tree.
func Structural(op string) bool { return op != "&&" && op != "||" }
