package otlp_test

import (
	"testing"

	"etude/otlp"
)

func TestValueJSON(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		`{}`,
		`{"stringValue":"a\u003cb\u2028"}`,
		`{"intValue":"-1"}`,
		`{"doubleValue":"NaN"}`,
		`{"boolValue":false}`,
		`{"bytesValue":""}`,
		`{"bytesValue":"AQI="}`,
		`{"arrayValue":{}}`,
		`{"kvlistValue":{}}`,
		`{"kvlistValue":{"values":[{"key":"x","value":{"intValue":"1"}},{"key":"","value":{}}]}}`,
		`{"arrayValue":{"values":[{"stringValue":"s"},{},{"arrayValue":{"values":[{"boolValue":true}]}}]}}`,
	} {
		value, err := otlp.ValueFromJSON([]byte(text))
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := string(otlp.ValueToJSON(nil, value)); got != text {
			t.Errorf("%s became %s", text, got)
		}
	}
	if _, err := otlp.ValueFromJSON([]byte(`{"intValue":{}}`)); err == nil {
		t.Error("accepted an object as a number")
	}
}
