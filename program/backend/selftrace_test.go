package backend

import "testing"

func TestSelfTraceTarget(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"": "off", "off": "off", "FALSE": "off", "0": "off", "true": "own", "1": "own", "own": "own",
		"http://tempo:4317": "http://tempo:4317", "https://x/v1/traces": "https://x/v1/traces",
	} {
		var target selfTraceTarget
		if err := target.parse(text); err != nil || target.String() != want {
			t.Errorf("%q means %s, %v, want %s", text, &target, err, want)
		}
	}
}
