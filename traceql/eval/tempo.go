package eval

// The files tempo*.go here, in metrics and in query hold rules that we know only from recorded answers of Tempo
// 3.0.3. Tempo does not evaluate a query over whole spans: it first applies the conditions to its columns and
// loads only the values that they select. Where that affects recorded answers, etude gives the same answers.
//
// Each rule has a number, which docs/tempo-rules.md lists with the rule in one sentence and a recorded case. A
// test keeps code and list in sync. docs/tempo-differences.md lists the rules that etude does not follow.
