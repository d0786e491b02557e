package eval

// The files tempo*.go here, in metrics and in query hold the rules that are known only from recorded answers of Tempo
// 3.0.3. Tempo does not evaluate a query over whole spans: it hands the conditions to its columns first and loads
// only the values that they select. Where that affects recorded answers, we give the same ones.
//
// Each rule has a number, which docs/tempo-rules.md lists with the rule in one sentence
// and a recorded case. A test keeps code and list together. Rules that we do not
// follow are in docs/tempo-differences.md.
