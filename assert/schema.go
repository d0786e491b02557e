package assert

import _ "embed"

// Schema is the JSON schema of files of expectations, for editors.
//
//go:embed schema.json
var Schema string
