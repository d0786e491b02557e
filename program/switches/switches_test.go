package switches

import (
	"bytes"
	"strings"
	"testing"
)

func TestSwitchesAreExplained(t *testing.T) {
	t.Parallel()
	var help bytes.Buffer
	Describe(&help)
	for _, s := range toggles {
		if !strings.Contains(help.String(), "--switch "+s.Name+"\n      "+s.Does+"\n      "+s.See) || s.Does == "" || s.See == "" || s.Title == "" || len(s.Parts) == 0 {
			t.Errorf("--switch help does not explain %s", s.Name)
		}
	}
}
